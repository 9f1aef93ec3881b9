// Causal attention of many tokens: queries (M, H D), fp16 cache -> y (M, H D). A workgroup does a head of QUERIES neighbouring
// tokens, which share each chunk's keys, then its values, in workgroup memory. A thread scores four queries against four keys
// at a time, and sums a quad of values for four queries. The same sums as attend.wgsl: what a query does not see weighs 0.
#include "lib/exact.wgsl"
@group(0) @binding(auto) var<storage, read> queries: array<vec4<f32>>;    // (M, HEADS, QUADS)
@group(0) @binding(auto) var<storage, read> keys: array<vec2<u32>>;       // [HKV][context][QUADS], four fp16
@group(0) @binding(auto) var<storage, read> values: array<vec2<u32>>;
@group(0) @binding(auto) var<storage, read_write> y: array<vec4<f32>>;    // (M, HEADS, QUADS)

const QUADS: u32 = D / 4u;
const GROUPS: u32 = QUERIES / ITEMS;
const WG: u32 = QUADS * GROUPS;
const CHUNK: u32 = 128u;
alias Sums = array<vec4<f32>, ITEMS * ITEMS>;

#include "lib/attend_tiled_scores.wgsl"
#include "lib/attend_tiled_values.wgsl"

fn query_row(begin: u32, query: u32, head: u32) -> u32 {
    return (min(begin + query, step.count - 1u) * HEADS + head) * QUADS;
}

// All scores of a chunk, whose first key is `base`.
fn score_chunk(base: u32, begin: u32, head: u32, count: u32, thread: u32) {
    for (var start = 0u; start < count; start += STAGED) {
        stage_keys(base, start, count, thread);
        workgroupBarrier();
        let places = (min(count - start, STAGED) + BLOCK - 1u) / BLOCK * LANES;
        for (var item = thread; item < places * GROUPS; item += WG) {
            let query = item / LANES % GROUPS * ITEMS;
            let place = item / LANES / GROUPS * LANES + item % LANES;
            var row: array<u32, ITEMS>;
            #for q in ITEMS
            row[q] = query_row(begin, query + q, head);
            #end
            score_tile(row, place, query * PITCH + start / 4u + place);
        }
        workgroupBarrier();
    }
}

// Blocks of later tokens, which see more, come first: what is left at the end is short.
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let blocks = (step.count + QUERIES - 1u) / QUERIES;
    if (group.y >= blocks) { return; }
    let head = group.x;
    let begin = (blocks - 1u - group.y) * QUERIES;
    let end = step.position + min(begin + QUERIES, step.count);
    let mine = thread / QUADS * ITEMS;
    var total: array<Partial, ITEMS>;
    for (var first = 0u; first < end; first += CHUNK) {
        let count = min(end - first, CHUNK);
        let base = (head / SHARED * CONTEXT + first) * QUADS;
        let reach = vec2<i32>(i32(step.position + begin) - i32(first), i32(count));
        score_chunk(base, begin, head, count, thread);
        find_tops(reach, thread);
        workgroupBarrier();
        weigh(reach, thread);
        var sums = Sums();
        sum_values(&sums, base, count, thread);
        #for q in ITEMS
        if (seen_by(mine + q, reach) > 0u) {
            let more = partial_of(mine + q, sums[q * ITEMS], sums[q * ITEMS + 1u], sums[q * ITEMS + 2u], sums[q * ITEMS + 3u]);
            if (first == 0u) { total[q] = more; } else { total[q] = folded(total[q], more); }
        }
        #end
    }
    #for q in ITEMS
    if (begin + mine + q < step.count) {
        let inverse = vec4<f32>(reciprocal(total[q].weight));
        y[query_row(begin, mine + q, head) + thread % QUADS] = mul4(total[q].value, inverse);
    }
    #end
}
