// F16: two weights a word.
#include "lib/half.wgsl"
const BLOCK_WORDS: u32 = 128u;

fn dense4(at: u32, quad: u32) -> vec4<f32> {
    let a = weights[at + quad * 64u];
    let b = weights[at + quad * 64u + 32u];
    return vec4<f32>(from_half(a & 0xFFFFu), from_half(a >> 16u), from_half(b & 0xFFFFu), from_half(b >> 16u));
}
