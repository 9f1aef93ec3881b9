// Q4_0: each 32 weights are four words of nibbles (low ones first), then a fp16 scale for each 32 weights.
#include "lib/half.wgsl"

fn dense4(at: u32, quad: u32) -> vec4<f32> {
    let scales = loaded(at + (32u + quad / 16u) * 32u).x;
    let d = from_half((scales >> (quad / 8u % 2u * 16u)) & 0xFFFFu);
    let nibbles = loaded(at + (quad / 8u * 4u + quad % 4u) * 32u).x >> (quad / 4u % 2u * 4u);
    let q = vec4<i32>((vec4<u32>(nibbles) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(15u)) - vec4<i32>(8);
    return d * vec4<f32>(q);
}
