// Gradients of gate and up (M, COLS), from dy of act(gate) * up.
#include "lib/exact.wgsl"
@group(0) @binding(auto) var<storage, read> gate: array<f32>;
@group(0) @binding(auto) var<storage, read> up: array<f32>;
@group(0) @binding(auto) var<storage, read> dy: array<f32>;
@group(0) @binding(auto) var<storage, read_write> gate_gradient: array<f32>;
@group(0) @binding(auto) var<storage, read_write> up_gradient: array<f32>;

// (act(g), its derivative)
fn activated(g: f32) -> vec2<f32> {
#if RELU2
    let positive = max(g, 0.0);
    return vec2<f32>(mul(positive, positive), mul(positive, 2.0));
#else
    let s = reciprocal(sealed(1.0 + exponential(-g)));
    let value = mul(g, s);
    return vec2<f32>(value, sealed(s + mul(value, sealed(1.0 - s))));
#endif
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= COLS || id.y >= step.count) { return; }
    let at = id.y * COLS + id.x;
    let act = activated(gate[at]);
    gate_gradient[at] = mul(mul(dy[at], up[at]), act.y);
    up_gradient[at] = mul(dy[at], act.x);
}
