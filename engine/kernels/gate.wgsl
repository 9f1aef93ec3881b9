// y (M, N) = act(gate) * up of parts (M, 2 N), gate first: for projections that are not ternary.
#include "lib/exact.wgsl"
#include "lib/epilogue.wgsl"
@group(0) @binding(auto) var<storage, read> parts: array<f32>;
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS || id.y >= step.count) { return; }
    let at = id.y * 2u * ROWS + id.x;
    y[id.y * ROWS + id.x] = gated(parts[at], parts[at + ROWS]);
}
