// Attention of one query to one chunk of 128 cached positions, with the chunk's own maximum. NumPy twin: ops/attend.py.
#include "lib/exact.wgsl"
#if UNIFORM
@group(0) @binding(auto) var<uniform> queries: array<vec4<f32>, M * HEADS * D / 4u>;
#else
@group(0) @binding(auto) var<storage, read> queries: array<vec4<f32>>;
#endif
@group(0) @binding(auto) var<storage, read> keys: array<u32>;             // [HKV][context][D / 2] fp16 pairs
@group(0) @binding(auto) var<storage, read> values: array<u32>;

const CHUNK: u32 = 128u;
const WORDS: u32 = D / 2u;

var<workgroup> score: array<f32, CHUNK>;
var<workgroup> group_top: array<f32, 16>;
var<workgroup> group_weight: array<f32, 4>;
var<workgroup> part: array<vec2<f32>, 4u * WORDS>;   // (word, position mod 4)

struct Partial {
    top: f32,           // largest score
    weight: f32,        // sum of e^(score - top)
    value: vec2<f32>,   // the same sum over values, for this thread's word
}

fn scored(query: u32, row: u32) -> f32 {
    var sum = vec4<f32>(0.0);
    for (var i = 0u; i < D / 4u; i++) {
        let key = vec4<f32>(unpack2x16float(keys[row + 2u * i]), unpack2x16float(keys[row + 2u * i + 1u]));
        sum = sealed4(sum + mul4(queries[query + i], key));
    }
    return mul(sum4(sum), SCALE);
}

// Every thread of the workgroup (WG, at least D / 2) must call it. Positions from `length` on do not exist. Loops rather
// than conditions, since idle vectors of a processor leave loops early.
fn attend_chunk(query: u32, kv_head: u32, chunk: u32, length: u32, thread: u32) -> Partial {
    let first = chunk * CHUNK;
    let base = (kv_head * CONTEXT + first) * WORDS;
    let count = min(length - first, CHUNK);
    for (var p = thread; p < count; p += WG) {
        score[p] = scored(query, base + p * WORDS);
    }
    workgroupBarrier();
    for (var group = thread; group * 8u < count; group += WG) {
        var top = score[group * 8u];
        for (var p = group * 8u + 1u; p < min(group * 8u + 8u, count); p++) { top = max(top, score[p]); }
        group_top[group] = top;
    }
    workgroupBarrier();
    for (var group = 1u; thread == 0u && group * 8u < count; group++) {
        group_top[0] = max(group_top[0], group_top[group]);
    }
    workgroupBarrier();
    let top = group_top[0];
    for (var p = thread; p < count; p += WG) {
        let shifted = sealed(score[p] - top);
        score[p] = select(0.0, exponential(shifted), shifted >= -60.0);
    }
    workgroupBarrier();
    for (var item = thread; item < 4u * WORDS; item += WG) {
        let word = item % WORDS;
        let lane = item / WORDS;
        var sum = vec2<f32>(0.0);
        var weights = 0.0;
        for (var p = lane; p < count; p += 4u) {
            let v = unpack2x16float(values[base + p * WORDS + word]);
            sum = vec2<f32>(sealed(sum.x + mul(score[p], v.x)), sealed(sum.y + mul(score[p], v.y)));
            weights = sealed(weights + score[p]);
        }
        part[item] = sum;
        if (word == 0u) { group_weight[lane] = weights; }
    }
    workgroupBarrier();
    let word = min(thread, WORDS - 1u);
    let w = vec4<f32>(group_weight[0], group_weight[1], group_weight[2], group_weight[3]);
    let low = vec4<f32>(part[word].x, part[WORDS + word].x, part[2u * WORDS + word].x, part[3u * WORDS + word].x);
    let high = vec4<f32>(part[word].y, part[WORDS + word].y, part[2u * WORDS + word].y, part[3u * WORDS + word].y);
    let partial = Partial(top, sum4(w), vec2<f32>(sum4(low), sum4(high)));
    workgroupBarrier();
    return partial;
}
