// Q8_0: 64 words of int8, then a fp16 scale for each 32 weights.
#include "lib/half.wgsl"

fn dense4(at: u32, quad: u32) -> vec4<f32> {
    let scales = loaded(at + (64u + quad / 16u) * 32u).x;
    let d = from_half((scales >> (quad / 8u % 2u * 16u)) & 0xFFFFu);
    let q = vec4<i32>(vec4<u32>(loaded(at + quad * 32u).x) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
    return d * vec4<f32>(q);
}
