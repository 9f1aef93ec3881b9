// Q6_K: low nibbles in 32 words, high bit pairs in 16, an int8 scale for each 16 weights in 4, the fp16 block scale last.
#include "lib/half.wgsl"

fn dense4(at: u32, quad: u32) -> vec4<f32> {
    let half = quad / 32u;
    let part = quad / 8u % 4u;                                              // which 32 weights of the 128
    let l = quad % 8u;
    let low = loaded(at + (half * 16u + part % 2u * 8u + l) * 32u).x >> (part / 2u * 4u);
    let high = loaded(at + (32u + half * 8u + l) * 32u).x >> (part * 2u);
    let bits = (low & 0x0F0F0F0Fu) | ((high & 0x03030303u) << 4u);
    let q = vec4<i32>((vec4<u32>(bits) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(63u)) - vec4<i32>(32);
    let group = half * 8u + part * 2u + l / 4u;                             // of 16 weights
    let scales = loaded(at + (48u + group / 4u) * 32u).x;
    let scale = f32(i32(scales << (24u - group % 4u * 8u)) >> 24u);
    return (from_half(loaded(at + 52u * 32u).x & 0xFFFFu) * scale) * vec4<f32>(q);
}
