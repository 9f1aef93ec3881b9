// Gradients of keys and values: q, k, v, spans, terms, dy -> dk, dv (M, HKV D). A workgroup does a KV head of TILE
// neighbouring keys. An item is a query with one of the heads that share the keys. Items are walked WG at a time: a
// thread first grades an item of its own for all keys, then sums its quad over every fourth item.
#include "lib/self_attend_rows.wgsl"
#include "lib/self_attend_runs.wgsl"
#include "lib/self_attend_graded.wgsl"
@group(0) @binding(auto) var<storage, read_write> dk: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read_write> dv: array<vec4<f32>>;

var<workgroup> pairs: array<Graded, TILE * WG>;

fn item_row(item: u32, kv_head: u32) -> u32 {
    return query_row(item / SHARED, kv_head * SHARED + item % SHARED);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let kv_head = group.x;
    let begin = group.y * TILE;
    if (begin >= step.count) { return; }
    let full = min(begin + TILE, step.count);
    var first: array<u32, TILE>;          // items that see the key; the last key again where the tile is not full
    var end: array<u32, TILE>;
    var row: array<u32, TILE>;
    var k_total: array<vec4<f32>, TILE>;
    var v_total: array<vec4<f32>, TILE>;
    #for t in TILE
    {
        let token = min(begin + t, full - 1u);
        first[t] = token * SHARED;
        end[t] = spans[step.position + token].y * SHARED;
        row[t] = key_row(token, kv_head);
        k_total[t] = nothing();
        v_total[t] = nothing();
    }
    #end
    let low = begin * SHARED;
    let high = end[TILE - 1u];
    let lane = thread / QUADS;

    for (var base = low; base < high; base += WG) {
        for (var item = base + thread; item < min(base + WG, high); item += WG) {
            let query = item_row(item, kv_head);
            var product: array<vec4<f32>, TILE>;
            var change: array<vec4<f32>, TILE>;
            #for t in TILE
            product[t] = nothing();
            change[t] = nothing();
            #end
            for (var i = 0u; i < QUADS; i++) {
                let q_word = q[query + i];
                let dy_word = dy[query + i];
                #for t in TILE
                product[t] = sealed4(product[t] + mul4(q_word, k[row[t] + i]));
                change[t] = sealed4(change[t] + mul4(dy_word, v[row[t] + i]));
                #end
            }
            let term = terms[query / QUADS];
            #for t in TILE
            {
                let found = graded(product[t], change[t], term);
                let seen = item >= first[t] && item < end[t];
                pairs[t * WG + thread] = Graded(select(0.0, found.weight, seen), select(0.0, found.score, seen));
            }
            #end
        }
        workgroupBarrier();
        for (var item = base + lane; thread < D && item < min(base + WG, high); item += 4u) {
            let at = item_row(item, kv_head) + thread % QUADS;
            let q_word = q[at];
            let dy_word = dy[at];
            #for t in TILE
            {
                let pair = pairs[t * WG + item - base];
                k_total[t] = sealed4(k_total[t] + mul4(vec4<f32>(pair.score), q_word));
                v_total[t] = sealed4(v_total[t] + mul4(vec4<f32>(pair.weight), dy_word));
            }
            #end
        }
        workgroupBarrier();
    }
    #for t in TILE
    {
        let run = run_of(low + lane, first[t]);
        let k_sum = joined(thread, run, k_total[t]);
        let v_sum = joined(thread, run, v_total[t]);
        if (thread < QUADS && begin + t < full) {
            dk[row[t] + thread] = k_sum;
            dv[row[t] + thread] = v_sum;
        }
    }
    #end
}
