// One token's rotary embedding, cache write and attention: a workgroup owns a head and SPAN chunks of 128 positions, 128 threads a chunk.
// qkv ((H + 2 HKV) D), fp16 caches -> y (H D), or with SPLIT partials [head][chunk][2 + D]. NumPy twins: ops/rope_cache.py, ops/attend.py.
// The token's own key and value never come from the cache: only the first of the heads that share them writes them there.
#include "lib/exact.wgsl"
#include "lib/half.wgsl"
@group(0) @binding(auto) var<storage, read> qkv: array<f32>;
#include "lib/rotary.wgsl"
@group(0) @binding(auto) var<storage, read_write> keys: array<vec4<u32>>;  // [HKV][context][D / 8] of fp16
@group(0) @binding(auto) var<storage, read_write> values: array<u32>;      // [HKV][context][D / 2] of fp16 pairs
@group(0) @binding(auto) var<storage, read_write> y: array<vec2<f32>>;

const CHUNK: u32 = 128u;
const WG: u32 = SPAN * CHUNK;
const WORDS: u32 = D / 2u;

struct Partial {
    top: f32,
    weight: f32,
    value: vec2<f32>,
}
#include "lib/attend_fold.wgsl"

#include "lib/fresh_rows.wgsl"
#include "lib/attend_spans.wgsl"

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = group.x;
    let kv_head = head / SHARED;
    let local = thread / CHUNK;
    let lane = thread % CHUNK;
    let chunk = group.y * SPAN + local;
    let length = step.position + 1u;
    let count = min(max(length, chunk * CHUNK) - chunk * CHUNK, CHUNK);
    put_fresh(head, thread);
    workgroupBarrier();
    if (head % SHARED == 0u && group.y == step.position / (SPAN * CHUNK)) { store_fresh(kv_head, thread); }
    put_scores(kv_head, chunk, count, local, lane);
    put_runs(kv_head, chunk, count, local, lane);
#if SPLIT
    let at = (head * CHUNKS + group.y) * (1u + WORDS);
    let sum = partial_of(0u, min(thread, WORDS - 1u));
    if (thread == 0u) { y[at] = vec2<f32>(sum.top, sum.weight); }
    if (thread < WORDS) { y[at + 1u + thread] = sum.value; }
#else
    if (thread >= WORDS) { return; }
    var sum = partial_of(0u, thread);
    for (var i = 1u; i * CHUNK < length; i++) { sum = folded(sum, partial_of(i, thread)); }
    y[head * WORDS + thread] = averaged(sum);
#endif
}
