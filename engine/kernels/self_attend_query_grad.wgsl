// Gradient of the queries: q, k, v, spans, terms, dy -> dq (M, H D), or onto dq. A workgroup does a head of TILE
// neighbouring queries. Keys are walked WG at a time: a thread first grades a key of its own for all queries, then
// sums its quad over every fourth key.
#include "lib/self_attend_rows.wgsl"
#include "lib/self_attend_runs.wgsl"
#include "lib/self_attend_graded.wgsl"
@group(0) @binding(auto) var<storage, read_write> dq: array<vec4<f32>>;

var<workgroup> slope: array<f32, TILE * WG>;                              // gradients of scores

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = group.x;
    let kv_head = head / SHARED;
    let begin = group.y * TILE;
    if (begin >= step.count) { return; }
    let end = min(begin + TILE, step.count);
    var token: array<u32, TILE>;          // the last one again where the tile is not full
    var first: array<u32, TILE>;
    var row: array<u32, TILE>;
    var total: array<vec4<f32>, TILE>;
    #for t in TILE
    token[t] = min(begin + t, end - 1u);
    first[t] = spans[step.position + token[t]].x;
    row[t] = query_row(token[t], head);
    total[t] = nothing();
    #end
    let low = first[0];
    let lane = thread / QUADS;

    for (var base = low; base < end; base += WG) {
        for (var j = base + thread; j < min(base + WG, end); j += WG) {
            let key = key_row(j, kv_head);
            var product: array<vec4<f32>, TILE>;
            var change: array<vec4<f32>, TILE>;
            #for t in TILE
            product[t] = nothing();
            change[t] = nothing();
            #end
            for (var i = 0u; i < QUADS; i++) {
                let k_word = k[key + i];
                let v_word = v[key + i];
                #for t in TILE
                product[t] = sealed4(product[t] + mul4(q[row[t] + i], k_word));
                change[t] = sealed4(change[t] + mul4(dy[row[t] + i], v_word));
                #end
            }
            #for t in TILE
            {
                let found = graded(product[t], change[t], terms[row[t] / QUADS]).score;
                slope[t * WG + thread] = select(0.0, found, j >= first[t] && j <= token[t]);
            }
            #end
        }
        workgroupBarrier();
        for (var j = base + lane; thread < D && j < min(base + WG, end); j += 4u) {
            let word = k[key_row(j, kv_head) + thread % QUADS];
            #for t in TILE
            total[t] = sealed4(total[t] + mul4(vec4<f32>(slope[t * WG + j - base]), word));
            #end
        }
        workgroupBarrier();
    }
    #for t in TILE
    {
        let sum = joined(thread, run_of(low + lane, first[t]), total[t]);
        if (thread < QUADS && begin + t < end) {
            let at = row[t] + thread;
#if ADD
            dq[at] = dq[at] + sum;
#else
            dq[at] = sum;
#endif
        }
    }
    #end
}
