// Rotary embedding by each token's position within its document: x (M, HEADS D) -> y, or onto y. Pairs lie D / 2 apart.
#include "lib/exact.wgsl"
@group(0) @binding(auto) var<storage, read> x: array<f32>;
@group(0) @binding(auto) var<storage, read> table: array<vec2<f32>>;      // (context, HALF) of (cos, sin)
@group(0) @binding(auto) var<storage, read> spans: array<vec2<u32>>;      // (N): first and end of each token's document
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;

const HALF: u32 = D / 2u;

fn give(at: u32, value: f32) {
#if ADD
    y[at] = y[at] + sealed(value);
#else
    y[at] = value;
#endif
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    if (id.x >= HEADS * HALF || token >= step.count) { return; }
    let position = token - spans[step.position + token].x;
    let turn = table[position * HALF + id.x % HALF];
#if INVERSE
    let sine = -turn.y;
#else
    let sine = turn.y;
#endif
    let at = token * HEADS * D + id.x / HALF * D + id.x % HALF;
    let a = x[at];
    let b = x[at + HALF];
    give(at, mul(a, turn.x) - mul(b, sine));
    give(at + HALF, mul(a, sine) + mul(b, turn.x));
}
