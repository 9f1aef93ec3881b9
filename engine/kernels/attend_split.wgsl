// Attention of one token, one workgroup a (head, chunk): queries (H D), fp16 cache -> partials [head][chunk][2 + D].
#include "lib/attend_chunk.wgsl"
@group(0) @binding(auto) var<storage, read_write> partials: array<vec2<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let sum = attend_chunk(group.x * D / 4u, group.x / SHARED, group.y, step.position + 1u, thread);
    let at = (group.x * CHUNKS + group.y) * (1u + WORDS);
    if (thread == 0u) { partials[at] = vec2<f32>(sum.top, sum.weight); }
    if (thread < WORDS) { partials[at + 1u + thread] = sum.value; }
}
