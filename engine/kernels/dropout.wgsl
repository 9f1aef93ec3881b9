// y (M, COLS) = x with a seeded mask, [+ residual], [+ what y was].
#include "lib/uniform.wgsl"
@group(0) @binding(auto) var<storage, read> x: array<f32>;
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;
#if RESIDUAL
@group(0) @binding(auto) var<storage, read> residual: array<f32>;
#endif

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= COLS || id.y >= step.count) { return; }
    let at = id.y * COLS + id.x;
    let value = mul(x[at], select(0.0, GROWTH, uniform_draw(at, step.draw, SEED) >= PROBABILITY));
#if RESIDUAL
    y[at] = residual[at] + value;
#else
#if ADDS
    y[at] = y[at] + value;
#else
    y[at] = value;
#endif
#endif
}
