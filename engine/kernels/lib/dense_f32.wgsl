// F32: a word a weight.
const BLOCK_WORDS: u32 = 256u;

fn dense4(at: u32, quad: u32) -> vec4<f32> {
    let w = at + quad * 128u;
    return bitcast<vec4<f32>>(vec4<u32>(weights[w], weights[w + 32u], weights[w + 64u], weights[w + 96u]));
}
