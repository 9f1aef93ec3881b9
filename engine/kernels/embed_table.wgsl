// x (M, E) = rows of a table (V, E) of f32: token ids from the tokens buffer, at the step's position.
#include "lib/step.wgsl"
@group(0) @binding(auto) var<storage, read> tokens: array<u32>;            // of all positions
@group(0) @binding(auto) var<storage, read> table: array<vec4<f32>>;       // (V, E) as quads
@group(0) @binding(auto) var<storage, read_write> x: array<vec4<f32>>;     // (M, E) as quads

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quad = id.x;
    if (quad >= QUADS || id.y >= step.count) { return; }
    let row = min(tokens[step.position + id.y], ROWS - 1u);
    x[id.y * QUADS + quad] = table[row * QUADS + quad];
}
