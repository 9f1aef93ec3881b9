// F16: two weights a word.
#include "lib/half.wgsl"

fn quad_of_words(w: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(from_half(w.x & 0xFFFFu), from_half(w.x >> 16u), from_half(w.y & 0xFFFFu), from_half(w.y >> 16u));
}
