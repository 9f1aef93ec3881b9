// y (M, COLS) += x.
#include "lib/step.wgsl"
@group(0) @binding(auto) var<storage, read> x: array<f32>;
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= COLS || id.y >= step.count) { return; }
    let at = id.y * COLS + id.x;
    y[at] = y[at] + x[at];
}
