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

alias Sums = array<vec4<i32>, 2u * TILES>;   // [tile][8 tokens]
alias Values = array<vec4<f32>, 2u * TILES>;

fn dots(w: u32, a: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(dot4(w, a.x), dot4(w, a.y), dot4(w, a.z), dot4(w, a.w));
}

// Adds the dots of one block: TILES rows times eight tokens, each activation read once for all rows.
fn block_dots(sum: ptr<function, Sums>, first_tile: u32, row: u32, block: u32, act: u32) {
    for (var load = 0u; load < LOADS; load++) {
        var words: array<vec2<u32>, TILES>;
        #for t in TILES
        {
            let tile = min(first_tile + t, range.y - 1u);
            words[t] = loaded(((tile * BLOCKS + block) * LOADS + load) * 32u + row);
        }
        #end
        #for part in PARTS
        {
        var state: array<vec2<u32>, TILES>;
        #for t in TILES
        state[t] = opened(words[t][part]);
        #end
        for (var l = 0u; l < WORD_QUADS; l++) {
            let at = act + quad_at(load * PARTS + part, l) * 2u;
            let low = q[at];
            let high = q[at + 1u];
            #for t in TILES
            {
                let turn = shown(state[t]);
                (*sum)[2u * t] += dots(quad_of(turn), low);
                (*sum)[2u * t + 1u] += dots(quad_of(turn), high);
                state[t] = rest_of(turn);
            }
            #end
        }
        }
        #end
    }
}

// The scaled sums of TILES rows for eight tokens, the token's own scale left out.
fn row_values(first_tile: u32, row: u32, tokens: u32) -> Values {
    var value = Values();
    var sum = Sums();
    for (var block = 0u; block < BLOCKS; block++) {
        let act = (tokens * BLOCKS + block) * 128u;
        block_dots(&sum, first_tile, row, block, act);
#if BLOCK_SCALES
        var ones = array<vec4<i32>, 2>();
        for (var half = 0u; half < 128u; half++) { ones[half % 2u] += dots(0x01010101u, q[act + half]); }
        #for t in TILES
        {
            let scale = vec4<f32>(scales[((range.x + first_tile + t) * BLOCKS + block) * 32u + row]);
            for (var half = 0u; half < 2u; half++) {
                value[2u * t + half] = sealed4(value[2u * t + half] + mul4(vec4<f32>(sum[2u * t + half] - ones[half]), scale));
                sum[2u * t + half] = vec4<i32>(0);
            }
        }
        #end
#endif
    }
#if !BLOCK_SCALES
    for (var half = 0u; half < 2u; half++) {
        let first = tokens * 8u + half * 4u;
        let last = step.count - 1u;
        let code_sum = vec4<i32>(act_sum[min(first, last)], act_sum[min(first + 1u, last)], act_sum[min(first + 2u, last)],
            act_sum[min(first + 3u, last)]);                              // codes are trit + 1
        #for t in TILES
        value[2u * t + half] = vec4<f32>(sum[2u * t + half] - code_sum);
        #end
    }
#endif
    return value;
}

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

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_tile = (group.x * (WG / 32u) + thread / 32u) * TILES;
    let row = thread % 32u;
    let tokens = group.y;
    if (first_tile >= range.y || tokens * 8u >= step.count) { return; }
    var value = row_values(first_tile, row, tokens);
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
            let result = finished(value[2u * t + i / 4u][i % 4u], tile, row, token);
#if GATED
            store(at, token, gated(result, finished(value[2u * t + 2u + i / 4u][i % 4u], tile + 1u, row, token)));
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
