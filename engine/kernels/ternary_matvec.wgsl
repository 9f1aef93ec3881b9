// y (N) = W (N, K ternary) . q (K int8), one token: norm and quantisation in front, residual or gate behind.
// A workgroup owns TILES tiles of 32 rows; a thread one row of each and every SLICES-th unit of its columns.
#include "lib/exact.wgsl"
#include "unpack"
#include "lib/dot4.wgsl"
#include "lib/epilogue.wgsl"
#include "lib/words.wgsl"
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

const WG: u32 = 32u * SLICES;
#include "lib/quantize.wgsl"

var<workgroup> acts: array<u32, PADDED_QUADS>;
var<workgroup> code_sum: atomic<i32>;
var<workgroup> partial: array<i32, TILES * WG>;

#include "lib/row_shares.wgsl"

fn row_value(tile: u32, t: u32, row: u32, act_scale: f32) -> f32 {
#if BLOCK_SCALES
    return mul(bitcast<f32>(partial[t * WG + row]), act_scale);
#else
    var sum = -atomicLoad(&code_sum);                                     // codes are trit + 1
    for (var slice = 0u; slice < SLICES; slice++) {
        sum += partial[t * WG + slice * 32u + row];
    }
    return mul(f32(sum), mul(scales[(tile + t) * 32u + row], act_scale));
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_tile = group.x * TILES;
    let ahead = fetched(first_tile, thread % 32u, min(thread / 32u, UNITS - 1u));
    if (thread == 0u) { atomicStore(&code_sum, 0); }                      // visible after the barriers of norm_lanes
    let scale = code_scales(norm_lanes(0u, thread));
    var sum = 0;
    for (var quad = thread; quad < PADDED_QUADS; quad += WG) {
        let packed = codes(0u, quad, scale.x);
        acts[quad] = packed.x;
        sum += i32(packed.y);
    }
    atomicAdd(&code_sum, sum);
    workgroupBarrier();
    let dots = shares(first_tile, thread % 32u, thread / 32u, ahead);
    #for t in TILES
    partial[t * WG + thread] = dots[t];
    #end
    workgroupBarrier();
    for (var item = thread; item < 32u * OUT_TILES; item += WG) {
        store(first_tile, item / 32u, item % 32u, scale.y);
    }
}

// Output tile t of the workgroup.
fn store(first_tile: u32, t: u32, row: u32, act_scale: f32) {
    let tile = range.x + first_tile;
#if GATED
    let at = (tile / 2u + t) * 32u + row;
    let value = gated(row_value(tile, 2u * t, row, act_scale), row_value(tile, 2u * t + 1u, row, act_scale));
    let inside = first_tile + 2u * t < range.y;
#else
    let at = (tile + t) * 32u + row;
    var value = row_value(tile, t, row, act_scale);
    let inside = first_tile + t < range.y;
#endif
    if (!inside || at >= ROWS) { return; }
#if RESIDUAL
    value = residual[at] + value;
#endif
    y[COLUMN + at] = value;
}
