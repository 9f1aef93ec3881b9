// One AdamW step of every parameter; gradients are cleared. A factor of 0 (the norm was not finite) changes no weight.
#include "lib/exact.wgsl"
@group(0) @binding(auto) var<storage, read_write> weights: array<f32>;
@group(0) @binding(auto) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(auto) var<storage, read_write> first: array<f32>;
@group(0) @binding(auto) var<storage, read_write> second: array<f32>;
@group(0) @binding(auto) var<storage, read> norm: array<f32>;              // (norm, factor)

const TINY: f32 = 1e-30;  // moments below become zero before they are denormal

fn updated(at: u32, factor: f32) {
    let g = mul(gradients[at], factor);
    var m = sealed(mul(first[at], BETA1) + mul(g, REST1));
    var v = sealed(mul(second[at], BETA2) + mul(mul(g, g), REST2));
    m = select(m, 0.0, abs(m) < TINY);
    v = select(v, 0.0, v < TINY);
    first[at] = m;
    second[at] = v;
    let spread = mul(v, step.unbias2);
    let root = select(mul(spread, inverse_sqrt(max(spread, TINY))), 0.0, spread < TINY);
    let change = mul(mul(step.rate, mul(m, step.unbias1)), reciprocal(sealed(root + EPS)));
#if DECAYS
    weights[at] = mul(weights[at], step.keep) - change;
#else
    weights[at] = weights[at] - change;
#endif
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let factor = norm[1];
    let start = (group.y * WIDTH + group.x) * CHUNK;
    for (var at = start + thread; at < min(start + CHUNK, ELEMENTS); at += 256u) {
        if (factor > 0.0) { updated(at, factor); }
        gradients[at] = 0.0;
    }
}
