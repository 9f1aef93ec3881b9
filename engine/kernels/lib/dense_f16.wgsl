#include "lib/quad_f16.wgsl"

fn dense4(at: u32, quad: u32) -> vec4<f32> {
    return quad_of_words(loaded(at + quad * 32u));
}
