// BF16: two weights a word, each the high half of an f32.
const BLOCK_WORDS: u32 = 128u;

fn dense4(at: u32, quad: u32) -> vec4<f32> {
    let a = weights[at + quad * 64u];
    let b = weights[at + quad * 64u + 32u];
    return bitcast<vec4<f32>>(vec4<u32>(a << 16u, a & 0xFFFF0000u, b << 16u, b & 0xFFFF0000u));
}
