// Y (M, K) [+]= G (M, N, codes of three limbs) W (N, K ternary) by tiles: what passes back through a frozen layer. A workgroup walks N in
// pieces, decoded and transposed once into its memory; a thread multiplies four columns with all limbs of four tokens.
#include "lib/exact.wgsl"
#include "unpack"
#include "lib/dot4.wgsl"
#include "lib/row_words.wgsl"
@group(0) @binding(auto) var<storage, read> q: array<vec4<u32>>;          // [variant][limb][M / 8][N / 4][8 tokens]
@group(0) @binding(auto) var<storage, read> act_scale: array<f32>;        // [variant][M]
@group(0) @binding(auto) var<storage, read> act_sum: array<i32>;          // [variant][limb][M]
@group(0) @binding(auto) var<storage, read_write> y: array<Stored>;       // (M, K)

#if BY_FOUR
alias Stored = vec4<f32>;
#else
alias Stored = f32;
#endif
const WG: u32 = COLUMN_LANES * TOKEN_LANES * SLICES;
const CODE_QUADS: u32 = LIMBS * TOKEN_LANES;                              // of a run of four rows
const PITCH: u32 = COLUMN_LANES + CODE_QUADS;
const BUFFER: u32 = RUNS * PITCH;
const PIECES: u32 = (ROW_QUADS + RUNS - 1u) / RUNS;
alias Sums = array<vec4<i32>, LIMBS * 4u>;                                // [limb][token], of four columns

var<workgroup> staged: array<vec4<u32>, STAGED>;                          // two pieces, [run of rows][columns / 4, limbs and tokens / 4]

#include "lib/column_pieces.wgsl"

// The sums of all slices, in the first one; integers, in any order.
fn gather(sum: ptr<function, Sums>, lane: u32, slice: u32) {
    for (var other = 1u; other < SLICES; other++) {
        #for limb in LIMBS
        if (slice == other) {
            #for j in FOUR
            staged[j * COLUMN_LANES * TOKEN_LANES + lane] = bitcast<vec4<u32>>((*sum)[limb * 4u + j]);
            #end
        }
        workgroupBarrier();
        if (slice == 0u) {
            #for j in FOUR
            (*sum)[limb * 4u + j] += bitcast<vec4<i32>>(staged[j * COLUMN_LANES * TOKEN_LANES + lane]);
            #end
        }
        workgroupBarrier();
        #end
    }
}

fn store(token: u32, column: u32, value: vec4<f32>) {
    let at = token * COLS + column;
#if BY_FOUR
#if ADDS
    y[at / 4u] = y[at / 4u] + value;
#else
    y[at / 4u] = value;
#endif
#else
    for (var i = 0u; i < min(4u, COLS - column); i++) {
#if ADDS
        y[at + i] = y[at + i] + value[i];
#else
        y[at + i] = value[i];
#endif
    }
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_token = group.y * TOKEN_LANES * 4u;
    if (first_token >= step.count) { return; }
    let column_lane = thread % COLUMN_LANES;
    let token_lane = thread / COLUMN_LANES % TOKEN_LANES;
    let slice = thread / (COLUMN_LANES * TOKEN_LANES);
    let block = group.x / (64u / COLUMN_LANES);
    let quad = group.x % (64u / COLUMN_LANES) * COLUMN_LANES + column_lane;
#if BLOCK_SCALES
    let variant = block;
#else
    let variant = 0u;
#endif
    let word = place_of(quad);
    let place = Place(block, word.x, word.y, group.y * TOKEN_LANES, variant);
    var sum = Sums();
    var ahead = fetched(0u, place, thread);
    stage(ahead, 0u, place, thread);
    workgroupBarrier();
    for (var piece = step.zero; piece < PIECES; piece++) {                  // the bound hides: unrolled, loops outgrow a GPU's instruction cache
        ahead = fetched(min(piece + 1u, PIECES - 1u), place, thread);
        multiply(&sum, piece, column_lane, token_lane, slice);
        stage(ahead, piece + 1u, place, thread);
        workgroupBarrier();
    }
    gather(&sum, thread % (COLUMN_LANES * TOKEN_LANES), slice);
    let column = block * 256u + quad * 4u;
    if (slice > 0u || column >= COLS) { return; }
    #for j in FOUR
    {
        let token = first_token + token_lane * 4u + j;
        if (token < step.count) {
            var value = vec4<f32>(0.0);
            #for limb in LIMBS
            {
                let code_sum = act_sum[(variant * LIMBS + limb) * GROUPS * 8u + token];  // codes are trit + 1
                value = sealed4(value * 256.0 + vec4<f32>(sum[limb * 4u + j] - vec4<i32>(code_sum)));
            }
            #end
            store(token, column, mul4(value, vec4<f32>(act_scale[variant * TOKENS + token])));
        }
    }
    #end
}
