// Rotary embedding of two pairs of neighbours of a head, D / 2 apart: v is (low pair, high pair), w counts pairs.
@group(0) @binding(auto) var<storage, read> table: array<vec2<f32>>;      // (context, D / 2) of (cos, sin)

const QUARTER: u32 = D / 4u;

fn rotated(a: f32, b: f32, turn: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(mul(a, turn.x) - mul(b, turn.y), mul(a, turn.y) + mul(b, turn.x));
}

// (low pair, high pair) of a head's four values after rotation.
fn turned(v: vec4<f32>, w: u32, position: u32) -> vec4<f32> {
    let row = position * 2u * QUARTER;
#if INTERLEAVED
    return vec4<f32>(rotated(v.x, v.y, table[row + w]), rotated(v.z, v.w, table[row + QUARTER + w]));
#else
    let a = rotated(v.x, v.z, table[row + 2u * w]);
    let b = rotated(v.y, v.w, table[row + 2u * w + 1u]);
    return vec4<f32>(a.x, b.x, a.y, b.y);
#endif
}
