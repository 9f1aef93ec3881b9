// Sum of four int8 products, as one instruction where the language has it. Any order gives the same int32.
fn dot4(a: u32, b: u32) -> i32 {
#if DOT4
    return dot4I8Packed(a, b);
#else
    let x = vec4<i32>(vec4<u32>(a) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
    let y = vec4<i32>(vec4<u32>(b) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
    let p = x * y;
    return p.x + p.y + p.z + p.w;
#endif
}
