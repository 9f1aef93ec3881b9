// Y (M, K) [+]= G (M, N, codes of three limbs) W (N, K ternary): what passes back through a frozen layer. A thread owns a run of four
// columns and eight tokens, and every SLICES-th run of four rows; int32 sums meet in workgroup memory, in any order.
#include "lib/exact.wgsl"
#include "unpack"
#include "lib/dot4.wgsl"
#include "lib/words.wgsl"
@group(0) @binding(auto) var<storage, read> q: array<vec4<u32>>;          // [variant][limb][M / 8][N / 4][8 tokens]
@group(0) @binding(auto) var<storage, read> act_scale: array<f32>;        // [variant][M]
@group(0) @binding(auto) var<storage, read> act_sum: array<i32>;          // [variant][limb][M]
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;          // (M, K)

const WG: u32 = LANES * SLICES;
alias Sums = array<vec4<i32>, SUMS>;                                      // [limb][column][8 tokens]

var<workgroup> total: array<atomic<i32>, LANES * SUMS * 4u>;

// The same two-bit code of four rows in each byte, as a byte a row.
fn spread(codes: u32) -> u32 {
    let halves = (codes | (codes << 12u)) & 0x000F000Fu;
    return (halves | (halves << 6u)) & 0x03030303u;
}

// Four columns of four neighbouring rows: a word a column, a byte a row.
fn columns_of(first: u32, part: u32, place: u32) -> vec4<u32> {
    let packed = quad_in(loaded(first)[part], place) | (quad_in(loaded(first + 1u)[part], place) << 2u)
        | (quad_in(loaded(first + 2u)[part], place) << 4u) | (quad_in(loaded(first + 3u)[part], place) << 6u);
    return vec4<u32>(spread(packed & 255u), spread((packed >> 8u) & 255u), spread((packed >> 16u) & 255u), spread(packed >> 24u));
}

fn dots(w: u32, a: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(dot4(w, a.x), dot4(w, a.y), dot4(w, a.z), dot4(w, a.w));
}

fn sums_of(block: u32, place: vec2<u32>, group: u32, slice: u32) -> Sums {
    var sum = Sums();
    for (var rows = slice; rows < ROW_QUADS; rows += SLICES) {
        let first = ((rows / 8u * BLOCKS + block) * LOADS + place.x / PARTS) * 32u + rows % 8u * 4u;
        let w = columns_of(first, place.x % PARTS, place.y);
        #for limb in LIMBS
        {
            let at = (((group + limb * GROUPS) * PADDED_QUADS) + rows) * 2u;
            let low = q[at];
            let high = q[at + 1u];
            #for c in COLUMNS
            sum[limb * 8u + c * 2u] += dots(w[c], low);
            sum[limb * 8u + c * 2u + 1u] += dots(w[c], high);
            #end
        }
        #end
    }
    return sum;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let tokens = group.y;
    if (tokens * 8u >= step.count) { return; }
    for (var i = thread; i < LANES * SUMS * 4u; i += WG) { atomicStore(&total[i], 0); }
    let lane = thread % LANES;
    let block = group.x / (64u / LANES);
    let quad = group.x % (64u / LANES) * LANES + lane;
#if BLOCK_SCALES
    let variant = block;
#else
    let variant = 0u;
#endif
    let sum = sums_of(block, place_of(quad), variant * LIMBS * GROUPS + tokens, thread / LANES);
    workgroupBarrier();
    #for i in SUMS
    #for t in COLUMNS
    atomicAdd(&total[(i * 4u + t) * LANES + lane], sum[i][t]);
    #end
    #end
    workgroupBarrier();
    for (var item = thread; item < LANES * 32u; item += WG) { store(item, variant, tokens, block * 256u + quad / LANES * LANES * 4u); }
}

// Item: token of eight, then column of the workgroup's.
fn store(item: u32, variant: u32, tokens: u32, first: u32) {
    let column = item % (LANES * 4u);
    let token = tokens * 8u + item / (LANES * 4u);
    let k = first + column;
    if (k >= COLS || token >= step.count) { return; }
    var value = 0.0;
    for (var limb = 0u; limb < LIMBS; limb++) {
        let at = ((limb * 8u + column % 4u * 2u) * 4u + item / (LANES * 4u)) * LANES + column / 4u;
        let code_sum = act_sum[(variant * LIMBS + limb) * GROUPS * 8u + token];  // codes are trit + 1
        value = sealed(value * 256.0 + f32(atomicLoad(&total[at]) - code_sum));
    }
    value = mul(value, act_scale[variant * TOKENS + token]);
    let at = token * COLS + k;
#if ADDS
    y[at] = y[at] + value;
#else
    y[at] = value;
#endif
}
