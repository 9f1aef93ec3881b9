// F16: two weights a word.
#include "lib/half.wgsl"

fn dense4(at: u32, quad: u32) -> vec4<f32> {
    let w = loaded(at + quad * 32u);
    return vec4<f32>(from_half(w.x & 0xFFFFu), from_half(w.x >> 16u), from_half(w.y & 0xFFFFu), from_half(w.y >> 16u));
}
