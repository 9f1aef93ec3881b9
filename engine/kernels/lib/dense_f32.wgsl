// F32: a word a weight.

fn dense4(at: u32, quad: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(loaded(at + quad * 64u), loaded(at + quad * 64u + 32u)));
}
