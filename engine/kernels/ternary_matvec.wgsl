// y (N) = W (N, K ternary) . q (K int8), one token: norm and quantisation in front, residual or gate behind.
// A workgroup owns TURNS * TILES * LANES rows, a thread TILES of them a turn, LANES apart, and every SLICES-th block of their columns.
// Whatever does not depend on x, weights above all, is fetched before the norm.
#include "lib/exact.wgsl"
#include "trits"
#include "lib/dot4.wgsl"
#include "lib/epilogue.wgsl"
#include "lib/words.wgsl"
@group(0) @binding(auto) var<storage, read> scales: array<f32>;          // (rows), or [tile][block][32 rows]
@group(0) @binding(auto) var<uniform> range: vec4<u32>;                  // first tile of this dispatch, tiles
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>;         // (K) as quads
@group(0) @binding(auto) var<storage, read> norm_weight: array<vec4<f32>>;
#if RESIDUAL
@group(0) @binding(auto) var<storage, read> residual: array<f32>;        // (N)
#endif
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;

const WG: u32 = LANES * SLICES;
#include "lib/quantize.wgsl"

var<workgroup> acts: array<vec4<u32>, PADDED_QUADS / 4u>;
var<workgroup> code_part: array<i32, WG>;
var<workgroup> code_sum: array<i32, CODE_SUMS>;
var<workgroup> partial: array<i32, TURNS * TILES * WG>;

#include "lib/matvec_rows.wgsl"

fn scale_of(row: u32) -> f32 {
#if BLOCK_SCALES
    return 0.0;
#else
    return scales[range.x * 32u + min(row, range.y * 32u - 1u)];
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = group.x * TURNS * TILES * LANES;
    let slice = thread / LANES;
    let ahead = block_words(first + thread % LANES, slice);
    // Output `thread` of the workgroup, if there is one: its row (gate and up tiles alternate) and its place in y.
#if GATED
    let row = thread / 32u * 64u + thread % 32u;
    let at = (range.x * 32u + first) / 2u + thread;
    let up_scale = scale_of(first + row + 32u);
#else
    let row = thread;
    let at = range.x * 32u + first + thread;
#endif
    let row_scale = scale_of(first + row);
    let inside = thread < OUT_ROWS && first + row < range.y * 32u && at < ROWS;
#if RESIDUAL
    let before = residual[min(at, ROWS - 1u)];
#endif
    let scale = code_scales(norm_lanes(0u, thread));
    var sum = 0;
    for (var fours = thread; fours < PADDED_QUADS / 4u; fours += WG) {     // whole vectors: a component's store may rewrite the others
        let a = codes(0u, 4u * fours, scale.x);
        let b = codes(0u, 4u * fours + 1u, scale.x);
        let c = codes(0u, 4u * fours + 2u, scale.x);
        let d = codes(0u, 4u * fours + 3u, scale.x);
        acts[fours] = vec4<u32>(a.x, b.x, c.x, d.x);
        sum += i32(a.y + b.y + c.y + d.y);
    }
    code_part[thread] = sum;
    workgroupBarrier();
    if (thread < CODE_SUMS) {
        var part = code_part[thread];
        for (var i = thread + CODE_SUMS; i < WG; i += CODE_SUMS) { part += code_part[i]; }
        code_sum[thread] = part;
    }
    put_shares(first + thread % LANES, slice, thread, ahead);
    workgroupBarrier();
    if (!inside) { return; }
#if GATED
    let value = gated(row_value(row, row_scale, scale.y), row_value(row + 32u, up_scale, scale.y));
#else
    var value = row_value(row, row_scale, scale.y);
#endif
#if RESIDUAL
    value = before + value;
#endif
    y[COLUMN + at] = value;
}
