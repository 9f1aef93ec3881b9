// Largest magnitude of each column of dy (M, N), rows times act_scale (M), over a run of RUN tokens: [run][N].
#include "lib/exact.wgsl"
#include "lib/column_top.wgsl"
@group(0) @binding(auto) var<storage, read> dy: array<f32>;
@group(0) @binding(auto) var<storage, read> act_scale: array<f32>;
@group(0) @binding(auto) var<storage, read_write> tops: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = group.x * 32u + thread % 32u;
    let first = group.y * RUN;
    if (first >= step.count) { return; }
    let end = select(0u, min(first + RUN, step.count), column < N);
    var largest = 0.0;
    for (var token = first + thread / 32u; token < end; token += 8u) {
        largest = max(largest, abs(mul(dy[token * N + column], act_scale[token])));
    }
    let top = column_top(largest, thread);
    if (thread < 32u && column < N) { tops[group.y * N + column] = top; }
}
