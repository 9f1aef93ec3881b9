// y (N) = W (N, K ternary) . q (K int8), one token: norm and quantisation in front, residual or gate behind.
// For processors. A workgroup owns TILES * LANES rows; a thread TILES of them and every SLICES-th block of their columns.
#include "lib/exact.wgsl"
#include "trits"
#include "lib/epilogue.wgsl"
#include "lib/row_groups.wgsl"
@group(0) @binding(auto) var<storage, read> scales: array<f32>;          // (rows), or [tile][block][32 rows]
@group(0) @binding(auto) var<uniform> range: vec4<u32>;                  // first tile of this dispatch, tiles
#if UNIFORM
@group(0) @binding(auto) var<uniform> x: array<vec4<f32>, QUADS>;        // (K) as quads
@group(0) @binding(auto) var<uniform> norm_weight: array<vec4<f32>, QUADS>;
#else
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read> norm_weight: array<vec4<f32>>;
#endif
#if RESIDUAL
@group(0) @binding(auto) var<storage, read> residual: array<f32>;        // (N)
#endif
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;

const WG: u32 = LANES * SLICES;
#include "lib/quantize.wgsl"

var<workgroup> acts: array<vec4<u32>, PADDED_QUADS / 4u>;
var<workgroup> code_sum: atomic<i32>;
var<workgroup> partial: array<i32, TILES * WG>;

#include "lib/row_pairs.wgsl"

// The scaled sum of one of the workgroup's rows; the first of them is `first` rows into this dispatch.
fn row_value(first: u32, row: u32, act_scale: f32) -> f32 {
    let at = (row / (LANES * GROUP) * GROUP + row % GROUP) * WG + row / GROUP % LANES;
#if BLOCK_SCALES
    return mul(bitcast<f32>(partial[at]), act_scale);
#else
    var sum = -atomicLoad(&code_sum);                                     // codes are trit + 1
    for (var slice = 0u; slice < SLICES; slice++) {
        sum += partial[at + slice * LANES];
    }
    return mul(f32(sum), mul(scales[range.x * 32u + first + row], act_scale));
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = group.x * TILES * LANES;
    if (thread == 0u) { atomicStore(&code_sum, 0); }                      // visible after the barriers of norm_lanes
    let scale = code_scales(norm_lanes(0u, thread));
    var sum = 0;
    for (var fours = thread; fours < PADDED_QUADS / 4u; fours += WG) {
        let a = codes(0u, 4u * fours, scale.x);
        let b = codes(0u, 4u * fours + 1u, scale.x);
        let c = codes(0u, 4u * fours + 2u, scale.x);
        let d = codes(0u, 4u * fours + 3u, scale.x);
        acts[fours] = vec4<u32>(a.x, b.x, c.x, d.x);
        sum += i32(a.y + b.y + c.y + d.y);
    }
    atomicAdd(&code_sum, sum);
    workgroupBarrier();
    let dots = shares(first + thread % LANES * GROUP, thread / LANES);
    #for t in TILES
    partial[t * WG + thread] = dots[t];
    #end
    workgroupBarrier();
    for (var item = thread; item < OUT_ROWS; item += WG) {
        store(first, item, scale.y);
    }
}

// Output row `item` of the workgroup. Tiles of gate and up alternate.
fn store(first: u32, item: u32, act_scale: f32) {
#if GATED
    let row = item / 32u * 64u + item % 32u;
    let at = (range.x * 32u + first) / 2u + item;
    let value = gated(row_value(first, row, act_scale), row_value(first, row + 32u, act_scale));
#else
    let row = item;
    let at = range.x * 32u + first + item;
    var value = row_value(first, row, act_scale);
#endif
    if (first + row >= range.y * 32u || at >= ROWS) { return; }
#if RESIDUAL
    value = residual[at] + value;
#endif
    y[COLUMN + at] = value;
}
