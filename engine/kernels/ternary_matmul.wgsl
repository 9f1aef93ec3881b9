// Y (M, N) = Q (M, K int8) W^T (N, K ternary): a thread owns TILES rows, 32 apart, and eight tokens.
#include "lib/exact.wgsl"
#include "unpack"
#include "lib/dot4.wgsl"
#include "lib/epilogue.wgsl"

#include "lib/words.wgsl"
@group(0) @binding(auto) var<storage, read> scales: array<f32>;          // (rows), or [tile][block][32 rows]
@group(0) @binding(auto) var<uniform> range: vec4<u32>;                  // first tile of this dispatch, tiles
#if UNIFORM
@group(0) @binding(auto) var<uniform> q: array<vec4<u32>, M * BLOCKS * 16u>;  // [M / 8][K / 4][8 tokens]
#else
@group(0) @binding(auto) var<storage, read> q: array<vec4<u32>>;
#endif
@group(0) @binding(auto) var<storage, read> act_scale: array<f32>;       // (M)
@group(0) @binding(auto) var<storage, read> act_sum: array<i32>;         // (M)
#if RESIDUAL
@group(0) @binding(auto) var<storage, read> residual: array<f32>;        // (M, N)
#endif
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;         // (M, N)

#include "lib/token_sums.wgsl"

fn finished(value: f32, tile: u32, row: u32, token: u32) -> f32 {
#if BLOCK_SCALES
    return mul(value, act_scale[token]);
#else
    return mul(value, mul(scales[(range.x + tile) * 32u + row], act_scale[token]));
#endif
}

fn store(at: u32, token: u32, result_any: f32) {
    var result = result_any;
#if RESIDUAL
    result = residual[token * ROWS + at] + result;
#endif
    y[token * STRIDE + COLUMN + at] = result;
}

// The sums of all limbs, highest first, joined by Horner's rule to the base 256.
fn joined_values(first_tile: u32, row: u32, tokens: u32) -> Values {
#if LIMBED
    var value = Values();
    for (var limb = step.zero; limb < LIMBS; limb++) {                     // the bound hides: one copy of the product
        let next = row_values(first_tile, row, tokens + limb * GROUPS);
        for (var i = 0u; i < 2u * TILES; i++) { value[i] = sealed4(value[i] * 256.0 + next[i]); }
    }
    return value;
#else
    return row_values(first_tile, row, tokens);
#endif
}

// The i-th of eight values, from two vectors.
fn at_token(low: vec4<f32>, high: vec4<f32>, i: u32) -> f32 {
    if (i < 4u) { return low[i]; }
    return high[i - 4u];
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_tile = (group.x * (WG / 32u) + thread / 32u) * SPAN;
    let row = thread % 32u;
    let tokens = group.y;
    if (first_tile >= range.y || tokens * 8u >= step.count) { return; }
#if TWO_PASSES
    // Gate, then up. The bound hides from the compiler: written out twice, the product became several times slower.
    var value = Values();
    var second = Values();
    for (var half = step.zero; half < 2u; half++) {
        value = second;
        second = joined_values(first_tile + half, row, tokens);
    }
#else
    let value = joined_values(first_tile, row, tokens);
#endif
    #for o in OUT_TILES
    {
        let t = o * TILE_STEP;
        let tile = range.x + first_tile + t;
        let at = tile / TILE_STEP * 32u + row;
        let inside = first_tile + t < range.y && at < ROWS;
        for (var first = 0u; first < 8u; first += TOKENS) {
        #for k in TOKENS
        {
        let i = first + k;
        if (inside && tokens * 8u + i < step.count) {
            let token = tokens * 8u + i;
            let result = finished(at_token(value[2u * t], value[2u * t + 1u], i), tile, row, token);
#if GATED
#if TWO_PASSES
            let up = at_token(second[0], second[1], i);
#else
            let up = at_token(value[2u * t + 2u], value[2u * t + 3u], i);
#endif
            store(at, token, gated(result, finished(up, tile + 1u, row, token)));
#else
            store(at, token, result);
#endif
        }
        }
        #end
        }
    }
    #end
}
