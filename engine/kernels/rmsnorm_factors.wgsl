// factors (M) = 1 / sqrt(mean(x^2) + eps) of x (M, K), a token a workgroup.
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read_write> factors: array<f32>;

#include "lib/lane_total.wgsl"

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if (group.x >= step.count) { return; }
    var sum = vec4<f32>(0.0);
    for (var quad = thread; quad < QUADS; quad += 256u) {
        let value = x[group.x * QUADS + quad];
        sum = sealed4(sum + mul4(value, value));
    }
    let total = lane_total(sum, thread);
    if (thread == 0u) { factors[group.x] = inverse_sqrt(sealed(mul(total, INVERSE_K) + EPS)); }
}
