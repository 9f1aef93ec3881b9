// y (N, K) += x, all rows: weights have no step's count of them.
#include "lib/step.wgsl"
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= COLUMN_QUADS) { return; }
    let at = id.y * COLUMN_QUADS + id.x;
    y[at] = y[at] + x[at];
}
