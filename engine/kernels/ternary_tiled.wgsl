// Y (M, N) = Q (M, K int8) W^T (N, K ternary) by tiles: a workgroup walks K in pieces, each decoded once into its memory
// beside the codes of its tokens; a thread multiplies runs of four rows with runs of four tokens, sums in registers.
#include "lib/exact.wgsl"
#include "unpack"
#include "lib/dot4.wgsl"
#include "lib/epilogue.wgsl"

#include "lib/row_words.wgsl"
@group(0) @binding(auto) var<storage, read> scales: array<f32>;          // (rows), or [tile][block][32 rows]
@group(0) @binding(auto) var<uniform> range: vec4<u32>;                  // first tile of this dispatch, tiles
@group(0) @binding(auto) var<storage, read> q: array<vec4<u32>>;         // [limb][M / 8][K / 4][8 tokens]
@group(0) @binding(auto) var<storage, read> act_scale: array<f32>;       // (M)
@group(0) @binding(auto) var<storage, read> act_sum: array<i32>;         // [limb][M]
#if RESIDUAL
@group(0) @binding(auto) var<storage, read> residual: array<Stored>;     // (M, N)
#endif
@group(0) @binding(auto) var<storage, read_write> y: array<Stored>;      // (M, N)

#if BY_FOUR
alias Stored = vec4<f32>;
#else
alias Stored = f32;
#endif
const WG: u32 = TOKEN_LANES * ROW_LANES * SLICES;
const ROW_QUADS: u32 = ROW_LANES * ROW_RUNS;                             // of a workgroup: runs of four rows
const TOKEN_QUADS: u32 = TOKEN_LANES * TOKEN_RUNS;
const PITCH: u32 = ROW_QUADS + TOKEN_QUADS;
const RESULTS: u32 = TOKEN_LANES * 4u * ROW_QUADS;                       // that are in workgroup memory at once, before what scales them
const OUT_QUADS: u32 = ROW_QUADS / TILE_STEP;
const BUFFER: u32 = WORDS * WORD_QUADS * PITCH;
const BLOCK_WORDS: u32 = LOADS * PARTS;
const BLOCK_PIECES: u32 = (BLOCK_WORDS + WORDS - 1u) / WORDS;
const PIECES: u32 = BLOCKS * BLOCK_PIECES;

var<workgroup> staged: array<vec4<u32>, STAGED>;                         // two pieces, [quad][rows / 4, tokens / 4], then results

alias Sums = array<vec4<i32>, TOKEN_RUNS * 4u * ROW_RUNS>;               // [token][run of four rows]
alias Values = array<vec4<f32>, TOKEN_RUNS * 4u * ROW_RUNS>;
#if BLOCK_SCALES
alias Totals = Values;
#else
alias Totals = Sums;
#endif

// The workgroup's first tile of rows and, counted through all limbs, its first group of eight tokens and the last one that there is.
struct Place {
    tile: u32,
    token_quad: u32,
    last_group: u32,
}

fn place_of_group(group: vec3<u32>, limb: u32) -> Place {
    return Place(group.x * (ROW_QUADS / 8u), limb * GROUPS * 2u + group.y * TOKEN_QUADS, (limb + 1u) * GROUPS - 1u);
}

// Where the codes of a run of four tokens begin.
fn code_quad(place: Place, run: u32, column: u32) -> u32 {
    let quad = place.token_quad + run;
    return (min(quad / 2u, place.last_group) * BLOCKS * 64u + column) * 2u + quad % 2u;
}

#include "lib/tile_totals.wgsl"
#include "lib/tile_results.wgsl"

#if LIMBED
// The sums of all limbs, highest first, joined by Horner's rule to the base 256.
fn joined_totals(group: vec3<u32>, lane: Lane, thread: u32) -> Values {
    var value = Values();
    for (var limb = step.zero; limb < LIMBS; limb++) {                     // the bound hides: one copy of the product
        let next = totals(place_of_group(group, limb), lane, thread);
        #for t in TOKEN_RUNS
        #for j in FOUR
        {
            let token = (group.y * TOKEN_QUADS + lane.tokens + t * TOKEN_LANES) * 4u + j;
            let code_sum = act_sum[limb * GROUPS * 8u + min(token, step.count - 1u)];
            #for r in ROW_RUNS
            {
                let i = (t * 4u + j) * ROW_RUNS + r;
#if BLOCK_SCALES
                value[i] = sealed4(value[i] * 256.0 + next[i]);
#else
                value[i] = sealed4(value[i] * 256.0 + vec4<f32>(next[i] - vec4<i32>(code_sum)));
#endif
            }
            #end
        }
        #end
        #end
    }
    return value;
}
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let place = place_of_group(group, 0u);
    let first_token = group.y * TOKEN_QUADS * 4u;
    if (first_token >= step.count || place.tile >= range.y) { return; }
    let lane = lane_of(thread);
    let own_scales = scales_of(place.tile, first_token, thread);
#if LIMBED
    let total = joined_totals(group, lane, thread);
#else
    let total = totals(place, lane, thread);
#endif
    stage_scales(own_scales, thread);
    #for t in TOKEN_RUNS
    {
        var held: array<vec4<u32>, 4u * ROW_RUNS>;
        #for i in RUN_RESULTS
        held[i] = bitcast<vec4<u32>>(total[t * 4u * ROW_RUNS + i]);
        #end
        gather(held, lane);
        store_all(place.tile, first_token, t, thread);
        workgroupBarrier();
    }
    #end
}
