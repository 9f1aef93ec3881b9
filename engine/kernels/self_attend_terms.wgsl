// What the gradients of self-attention need of each query and head: y, stats, dy -> terms (M, H, 4).
#include "lib/exact.wgsl"
@group(0) @binding(auto) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(auto) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read_write> terms: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= HEADS || id.y >= step.count) { return; }
    let at = id.y * HEADS + id.x;
    var sum = sealed4(vec4<f32>(0.0));
    for (var i = at * D / 4u; i < (at + 1u) * D / 4u; i++) {
        sum = sealed4(sum + mul4(dy[i], y[i]));
    }
    terms[at] = vec4<f32>(stats[at], sum4(sum), 0.0);
}
