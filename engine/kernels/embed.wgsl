// x (M, K) = rows of the embedding (V, K), dequantised: token ids from the tokens buffer, at the step's position.
#include "lib/step.wgsl"
#include "dense"

#include "lib/words.wgsl"
@group(0) @binding(auto) var<uniform> range: vec4<u32>;                    // first tile of this dispatch, tiles
@group(0) @binding(auto) var<storage, read> tokens: array<u32>;            // (context)
@group(0) @binding(auto) var<storage, read_write> x: array<vec4<f32>>;     // (M, K) as quads

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quad = id.x;
    let row = min(tokens[step.position + id.y], ROWS - 1u);
    let tile = row / 32u - range.x;                                        // wraps to a large number below the range
    if (quad >= QUADS || id.y >= step.count || tile >= range.y) { return; }
    x[id.y * QUADS + quad] = dense4((tile * BLOCKS + quad / 64u) * LOADS * 32u + row % 32u, quad % 64u);
}
