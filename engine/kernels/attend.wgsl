// Causal attention, one workgroup a (head, token): queries (M, H D), fp16 cache -> y (M, H D). GQA: H / HKV heads share a cache head.
#include "lib/attend_chunk.wgsl"
@group(0) @binding(auto) var<storage, read_write> y: array<vec2<f32>>;

#include "lib/attend_fold.wgsl"

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = group.x;
    let token = group.y;
    if (token >= step.count) { return; }
    let length = step.position + token + 1u;
    let query = (token * HEADS + head) * D / 4u;
    var sum = attend_chunk(query, head / SHARED, 0u, length, thread);
    for (var chunk = 1u; chunk * CHUNK < length; chunk++) {
        sum = folded(sum, attend_chunk(query, head / SHARED, chunk, length, thread));
    }
    if (thread < WORDS) { y[(token * HEADS + head) * WORDS + thread] = averaged(sum); }
}
