// How the results of a tile leave workgroup memory: scaled, gated, in whole vectors.
#include "lib/tile_scales.wgsl"

#if RESIDUAL
fn residual_of(at: u32, token: u32) -> vec4<f32> {
    let first = min(token, step.count - 1u) * ROWS;
#if BY_FOUR
    return residual[(first + min(at, ROWS - 4u)) / 4u];
#else
    return vec4<f32>(residual[first + min(at, ROWS - 1u)], residual[first + min(at + 1u, ROWS - 1u)],
        residual[first + min(at + 2u, ROWS - 1u)], residual[first + min(at + 3u, ROWS - 1u)]);
#endif
}
#endif

fn store(at: u32, token: u32, result: vec4<f32>) {
    let first = token * STRIDE + COLUMN + at;
#if BY_FOUR
    y[first / 4u] = result;
#else
    for (var i = 0u; i < min(4u, ROWS - at); i++) { y[first + i] = result[i]; }
#endif
}

// Four results: their token in workgroup memory, their rows there, and where these are in all.
struct Result {
    held: u32,
    row_quad: u32,
    tile: u32,
    at: u32,
}

fn result_of(item: u32, first_tile: u32) -> Result {
    let out = item % OUT_QUADS;
    let row_quad = out / 8u * 8u * TILE_STEP + out % 8u;
    let tile = first_tile + row_quad / 8u;
    return Result(item / OUT_QUADS, row_quad, tile, (range.x + tile) / TILE_STEP * 32u + out % 8u * 4u);
}

// The results in workgroup memory, all threads' t-th runs of tokens, leave it.
fn store_all(first_tile: u32, first_token: u32, t: u32, thread: u32) {
    for (var first = thread; first < TOKEN_LANES * 4u * OUT_QUADS; first += WG * TOGETHER) {
#if RESIDUAL
        var before: array<vec4<f32>, TOGETHER>;                           // loads in flight together
        #for k in TOGETHER
        {
            let place = result_of(first + k * WG, first_tile);
            before[k] = residual_of(place.at, first_token + t * TOKEN_LANES * 4u + place.held);
        }
        #end
#endif
        #for k in TOGETHER
        {
            let place = result_of(first + k * WG, first_tile);
            let own = t * TOKEN_LANES * 4u + place.held;
            let token = first_token + own;
            if (place.held < TOKEN_LANES * 4u && token < step.count && place.tile < range.y && place.at < ROWS) {
                var result = finished(own, place.held, place.row_quad);
#if GATED
                let up = finished(own, place.held, place.row_quad + 8u);
                for (var i = 0u; i < 4u; i++) { result[i] = gated(result[i], up[i]); }
#endif
#if RESIDUAL
                result = before[k] + result;
#endif
                store(place.at, token, result);
            }
        }
        #end
    }
}
