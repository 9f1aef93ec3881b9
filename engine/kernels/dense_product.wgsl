// Y (M, N) = X (M, K) W^T (N, K dense): four interleaved sums a block of 256 columns, blocks added in order. A workgroup owns
// ITEMS * LANES rows and one token; a thread ROW_GROUPS groups of GROUP neighbouring rows, LANES groups apart, and every
// (WG / LANES)-th block.
#include "lib/exact.wgsl"
#include "dense"

#if GROUPED
#include "lib/row_groups.wgsl"
#else
#include "lib/words.wgsl"
#endif
@group(0) @binding(auto) var<uniform> range: vec4<u32>;                   // first tile of this dispatch, tiles
#if CODES
@group(0) @binding(auto) var<storage, read> q: array<u32>;                // [M / 8][K / 4][8 tokens] int8
@group(0) @binding(auto) var<storage, read> act_scale: array<f32>;        // (M)
@group(0) @binding(auto) var<storage, read> row_scale: array<f32>;        // (N): the file's .scale, or ones
#else
#if UNIFORM
@group(0) @binding(auto) var<uniform> x: array<vec4<f32>, M * QUADS>;     // (M, K) as quads
#else
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>;
#endif
#endif
#if RESIDUAL
@group(0) @binding(auto) var<storage, read> residual: array<f32>;         // (M, STRIDE)
#endif
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;          // (M, STRIDE)

var<workgroup> block_sum: array<f32, ITEMS * LANES * BLOCKS>;

fn input(token: u32, quad: u32) -> vec4<f32> {
#if CODES
    let word = q[(token / 8u * BLOCKS * 64u + quad) * 8u + token % 8u];
    return vec4<f32>(vec4<i32>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));
#else
    return x[token * QUADS + quad];
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = group.x * ITEMS * LANES;
    let token = group.y;
    let lane = thread % LANES;
    if (first >= range.y * 32u || token >= step.count) { return; }
    for (var block = thread / LANES; block < BLOCKS; block += WG / LANES) {
        let sums = block_sums(first + lane * GROUP, token, block);
        #for t in ITEMS
        block_sum[(t * BLOCKS + block) * LANES + lane] = sums[t];
        #end
    }
    workgroupBarrier();
    for (var item = thread; item < ITEMS * LANES; item += WG) {
        store(first, item, token);
    }
}

// Each input quad is read once for all ITEMS rows; AHEAD quads are written out, so that their loads can be in flight together.
fn block_sums(first: u32, token: u32, block: u32) -> array<f32, ITEMS> {
    var sum = array<vec4<f32>, ITEMS>();
    for (var quad = 0u; quad < min(64u, QUADS - block * 64u); quad += AHEAD) {
        #for k in AHEAD
        {
            let value = input(token, block * 64u + quad + k);
            #for g in ROW_GROUPS
            {
                let row = min(first + g * LANES * GROUP, range.y * 32u - GROUP);
                let at = (row / 32u * BLOCKS + block) * LOADS * 32u + row % 32u;
#if GROUPED
                let words = brought((at + (quad + k) * 32u) / GROUP);
                #for j in GROUP
                sum[g * GROUP + j] = sealed4(sum[g * GROUP + j]
                    + mul4(value, quad_of_words(vec2<u32>(words[2u * j], words[2u * j + 1u]))));
                #end
#else
                sum[g] = sealed4(sum[g] + mul4(value, dense4(at, quad + k)));
#endif
            }
            #end
        }
        #end
    }
    var total = array<f32, ITEMS>();
    #for t in ITEMS
    total[t] = sum4(sum[t]);
    #end
    return total;
}

fn store(first: u32, item: u32, token: u32) {
    let at = range.x * 32u + first + item;
    if (first + item >= range.y * 32u || at >= ROWS) { return; }
    let own = item / (LANES * GROUP) * GROUP + item % GROUP;
    let sums = own * BLOCKS * LANES + item / GROUP % LANES;
    var value = block_sum[sums];
    for (var block = 1u; block < BLOCKS; block++) { value = sealed(value + block_sum[sums + block * LANES]); }
#if CODES
    value = mul(value, mul(row_scale[at], act_scale[token]));
#endif
#if RESIDUAL
    value = residual[token * STRIDE + COLUMN + at] + value;
#endif
    y[token * STRIDE + COLUMN + at] = value;
}
