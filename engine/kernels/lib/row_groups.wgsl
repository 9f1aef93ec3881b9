// The weight buffer in loads of GROUP neighbouring rows, [tile][block][load][32 / GROUP][GROUP rows][PARTS words]: a processor's driver
// takes as long for a load of 32 bytes as for one of four.
#if WIDE
@group(0) @binding(auto) var<storage, read> weights: array<vec4<u64>>;

fn brought(at: u32) -> array<u32, 8> {
    let w = weights[at];
    let low = vec4<u32>(w & vec4<u64>(0xFFFFFFFFlu));
    let high = vec4<u32>(w >> vec4<u32>(32u));
    return array<u32, 8>(low.x, high.x, low.y, high.y, low.z, high.z, low.w, high.w);
}
#else
@group(0) @binding(auto) var<storage, read> weights: array<vec4<u32>>;

fn brought(at: u32) -> array<u32, 4> {
    let w = weights[at];
    return array<u32, 4>(w.x, w.y, w.z, w.w);
}
#endif
