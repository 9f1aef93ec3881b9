// Causal attention within documents: q, k, v, spans -> y (M, H D), stats (M, H, 2). A workgroup does a head of TILE
// neighbouring queries, which share its loads of keys and values; a position weighs 0 for those that must not see it.
#include "lib/self_attend_rows.wgsl"
#include "lib/self_attend_runs.wgsl"
@group(0) @binding(auto) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read_write> stats: array<vec2<f32>>;

const ROOM: u32 = LONGEST + TILE - 1u;    // positions that the queries of a tile see together, at most
const LOWEST: f32 = -3.0e38;

var<workgroup> score: array<f32, TILE * ROOM>;
var<workgroup> largest: array<f32, WG>;
var<workgroup> largest_of_8: array<f32, WG / 8u>;
var<workgroup> run_weight: array<f32, 4>;

fn group_largest(thread: u32, mine: f32) -> f32 {
    largest[thread] = mine;
    workgroupBarrier();
    for (var eight = thread; eight < WG / 8u; eight += WG) {
        var top = largest[8u * eight];
        for (var i = 8u * eight + 1u; i < 8u * eight + 8u; i++) { top = max(top, largest[i]); }
        largest_of_8[eight] = top;
    }
    workgroupBarrier();
    var top = largest_of_8[0];
    for (var i = 1u; i < WG / 8u; i++) { top = max(top, largest_of_8[i]); }
    return top;
}

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
    var top: array<f32, TILE>;
    #for t in TILE
    token[t] = min(begin + t, end - 1u);
    first[t] = spans[step.position + token[t]].x;
    row[t] = query_row(token[t], head);
    top[t] = LOWEST;
    #end
    let low = first[0];

    for (var j = low + thread; j < end; j += WG) {
        let key = key_row(j, kv_head);
        var sum: array<vec4<f32>, TILE>;
        #for t in TILE
        sum[t] = nothing();
        #end
        for (var i = 0u; i < QUADS; i++) {
            let word = k[key + i];
            #for t in TILE
            sum[t] = sealed4(sum[t] + mul4(q[row[t] + i], word));
            #end
        }
        #for t in TILE
        {
            let found = mul(sum4(sum[t]), SCALE);
            score[t * ROOM + j - low] = found;
            top[t] = select(top[t], max(top[t], found), j >= first[t] && j <= token[t]);
        }
        #end
    }
    #for t in TILE
    top[t] = group_largest(thread, top[t]);
    #end
    for (var j = low + thread; j < end; j += WG) {
        #for t in TILE
        {
            let shifted = sealed(score[t * ROOM + j - low] - top[t]);
            let seen = j >= first[t] && j <= token[t] && shifted >= NEGLIGIBLE;
            score[t * ROOM + j - low] = select(0.0, exponential(shifted), seen);
        }
        #end
    }
    workgroupBarrier();

    let lane = thread / QUADS;
    let quad = thread % QUADS;
    var sum: array<vec4<f32>, TILE>;
    var weight: array<f32, TILE>;
    #for t in TILE
    sum[t] = nothing();
    weight[t] = 0.0;
    #end
    for (var j = low + lane; thread < D && j < end; j += 4u) {
        let word = v[key_row(j, kv_head) + quad];
        #for t in TILE
        sum[t] = sealed4(sum[t] + mul4(vec4<f32>(score[t * ROOM + j - low]), word));
        weight[t] = sealed(weight[t] + score[t * ROOM + j - low]);
        #end
    }
    #for t in TILE
    {
        let run = run_of(low + lane, first[t]);
        if (thread < D && quad == 0u) { run_weight[run] = weight[t]; }
        let total = joined(thread, run, sum[t]);
        let inverse = reciprocal(sum4(vec4<f32>(run_weight[0], run_weight[1], run_weight[2], run_weight[3])));
        if (thread < QUADS && begin + t < end) { y[row[t] + thread] = mul4(total, vec4<f32>(inverse)); }
        if (thread == 0u && begin + t < end) { stats[row[t] / QUADS] = vec2<f32>(top[t], inverse); }
        workgroupBarrier();
    }
    #end
}
