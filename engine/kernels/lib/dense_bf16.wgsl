// BF16: two weights a word, each the high half of an f32.

fn dense4(at: u32, quad: u32) -> vec4<f32> {
    let w = loaded(at + quad * 32u);
    return bitcast<vec4<f32>>(vec4<u32>(w.x << 16u, w.x & 0xFFFF0000u, w.y << 16u, w.y & 0xFFFF0000u));
}
