// y (M, COLS) = act(gate) * up.
#include "lib/exact.wgsl"
#include "lib/epilogue.wgsl"
@group(0) @binding(auto) var<storage, read> gate: array<f32>;
@group(0) @binding(auto) var<storage, read> up: array<f32>;
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= COLS || id.y >= step.count) { return; }
    let at = id.y * COLS + id.x;
    y[at] = gated(gate[at], up[at]);
}
