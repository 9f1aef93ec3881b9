// Heads of the step's own tokens, read in quads of four floats. A token attends to its document's tokens up to itself.
#include "lib/exact.wgsl"
@group(0) @binding(auto) var<storage, read> q: array<vec4<f32>>;          // (M, HEADS, QUADS)
@group(0) @binding(auto) var<storage, read> k: array<vec4<f32>>;          // (M, KV_HEADS, QUADS)
@group(0) @binding(auto) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read> spans: array<vec2<u32>>;      // (N): first and end of each token's document

const QUADS: u32 = D / 4u;
const SHARED: u32 = HEADS / KV_HEADS;
const NEGLIGIBLE: f32 = -40.0;            // a score this far below the largest weighs nothing

fn query_row(token: u32, head: u32) -> u32 {
    return (token * HEADS + head) * QUADS;
}

fn key_row(token: u32, kv_head: u32) -> u32 {
    return (token * KV_HEADS + kv_head) * QUADS;
}

// Where sums begin. Compilers do not know that it is 0, so that none takes 0 + x for x, which differs for x = -0.
fn nothing() -> vec4<f32> {
    return sealed4(vec4<f32>(0.0));
}
