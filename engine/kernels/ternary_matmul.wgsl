// Y (M, N) = Q (M, K int8) W^T (N, K ternary): a thread owns TILES rows, 32 apart, and eight tokens.
#include "lib/exact.wgsl"
#include "unpack"
#include "lib/dot4.wgsl"
#include "lib/epilogue.wgsl"

@group(0) @binding(auto) var<storage, read> weights: array<u32>;         // [tile][block][word][32 rows]
@group(0) @binding(auto) var<storage, read> scales: array<f32>;          // (rows), or [tile][block][32 rows]
@group(0) @binding(auto) var<uniform> range: vec4<u32>;                  // first tile of this dispatch, tiles
@group(0) @binding(auto) var<storage, read> q: array<vec4<u32>>;         // [M / 8][K / 4][8 tokens]
@group(0) @binding(auto) var<storage, read> act_scale: array<f32>;       // (M)
@group(0) @binding(auto) var<storage, read> act_sum: array<i32>;         // (M)
#if RESIDUAL
@group(0) @binding(auto) var<storage, read> residual: array<f32>;        // (M, N)
#endif
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;         // (M, N)

alias Tokens = array<vec4<i32>, 2>;

fn block_dot(sum: ptr<function, Tokens>, at: u32, act: u32) {
    for (var word = 0u; word < BLOCK_WORDS; word++) {
        var state = opened(weights[at + word * 32u]);
        for (var l = 0u; l < WORD_QUADS; l++) {
            let w = next_quad(&state);
            let a = act + quad_at(word, l) * 2u;
            let low = q[a];
            let high = q[a + 1u];
            (*sum)[0] += vec4<i32>(dot4(w, low.x), dot4(w, low.y), dot4(w, low.z), dot4(w, low.w));
            (*sum)[1] += vec4<i32>(dot4(w, high.x), dot4(w, high.y), dot4(w, high.z), dot4(w, high.w));
        }
    }
}

#if BLOCK_SCALES
fn ones_dot(act: u32) -> Tokens {
    var sum = Tokens();
    for (var quad = 0u; quad < 64u; quad++) {
        let low = q[act + quad * 2u];
        let high = q[act + quad * 2u + 1u];
        let w = 0x01010101u;
        sum[0] += vec4<i32>(dot4(w, low.x), dot4(w, low.y), dot4(w, low.z), dot4(w, low.w));
        sum[1] += vec4<i32>(dot4(w, high.x), dot4(w, high.y), dot4(w, high.z), dot4(w, high.w));
    }
    return sum;
}
#endif

// The scaled sums of one row for eight tokens, the token's own scale left out.
fn row_values(tile: u32, row: u32, tokens: u32) -> array<vec4<f32>, 2> {
    var value = array<vec4<f32>, 2>();
    let act = tokens * BLOCKS * 128u;
#if BLOCK_SCALES
    for (var block = 0u; block < BLOCKS; block++) {
        var sum = Tokens();
        block_dot(&sum, (tile * BLOCKS + block) * BLOCK_WORDS * 32u + row, act + block * 128u);
        let ones = ones_dot(act + block * 128u);
        let scale = vec4<f32>(scales[((range.x + tile) * BLOCKS + block) * 32u + row]);
        value[0] = sealed4(value[0] + mul4(vec4<f32>(sum[0] - ones[0]), scale));
        value[1] = sealed4(value[1] + mul4(vec4<f32>(sum[1] - ones[1]), scale));
    }
#else
    var sum = Tokens();
    for (var block = 0u; block < BLOCKS; block++) {
        block_dot(&sum, (tile * BLOCKS + block) * BLOCK_WORDS * 32u + row, act + block * 128u);
    }
    for (var token = 0u; token < 8u; token++) {
        let code_sum = act_sum[min(tokens * 8u + token, step.count - 1u)];
        value[token / 4u][token % 4u] = f32(sum[token / 4u][token % 4u] - code_sum);  // codes are trit + 1
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

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let tile = (group.x * (WG / 32u) + thread / 32u) * TILES;
    let row = thread % 32u;
    let tokens = group.y;
    if (tile >= range.y || tokens * 8u >= step.count) { return; }
    var value = row_values(tile, row, tokens);
#if GATED
    let at = (range.x + tile) / 2u * 32u + row;
    var up = row_values(tile + 1u, row, tokens);
#else
    let at = (range.x + tile) * 32u + row;
#endif
    if (at >= ROWS) { return; }
    for (var t = 0u; t < min(8u, step.count - tokens * 8u); t++) {
        let token = tokens * 8u + t;
        var result = finished(value[t / 4u][t % 4u], tile, row, token);
#if GATED
        result = gated(result, finished(up[t / 4u][t % 4u], tile + 1u, row, token));
#endif
#if RESIDUAL
        result = residual[token * ROWS + at] + result;
#endif
        y[token * STRIDE + COLUMN + at] = result;
    }
}
