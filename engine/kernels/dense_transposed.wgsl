// y (M, N) [+]= a (M, K) W, W (K, N) dense, held in tiles of 32 rows: what passes back through the output head. The block
// sums of 256 rows are added to y one after the other, so that the ranges of a cut weight go on where the last one ended.
#include "lib/exact.wgsl"
#include "dense"

#include "lib/words.wgsl"
@group(0) @binding(auto) var<uniform> range: vec4<u32>;                   // first tile of this dispatch, tiles
#include "lib/matmul_left.wgsl"
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;          // (M, N)
#include "lib/product_tile.wgsl"

// One tile of 32 rows. A thread turns four rows of four columns, so that each weight is unpacked once a workgroup.
fn stage(first_row: u32, first_column: u32, quad: u32, base: u32, thread: u32) {
    for (var item = thread; item < CHUNK * SIDE; item += TEAM) {
        let row = item / CHUNK;
        left[base + item % CHUNK * PITCH + row] = left4(first_row + row, range.x * CHUNK + quad + item % CHUNK, K);
    }
    for (var item = thread; item < CHUNK * SIDE / 4u; item += TEAM) {
        let column = first_column / 4u + item / CHUNK;                    // in quads
        let at = (quad / CHUNK * BLOCKS + column / 64u) * LOADS * 32u + item % CHUNK * 4u;
        let four = transpose(mat4x4<f32>(dense4(at, column % 64u), dense4(at + 1u, column % 64u),
            dense4(at + 2u, column % 64u), dense4(at + 3u, column % 64u)));
        let place = base + item % CHUNK * PITCH + item / CHUNK * 4u;
        right[place] = four[0];
        right[place + 1u] = four[1];
        right[place + 2u] = four[2];
        right[place + 3u] = four[3];
    }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let tokens = min(step.count, M);
    if (group.y * SIDE >= tokens) { return; }
    let row = group.y * SIDE + thread / LANES;
    let column = group.x * SIDE + thread % LANES;
    var totals = Totals();
#if ADDS
    #for i in ITEMS
    #for j in ITEMS
    if (row + i * LANES < tokens && column + j * LANES < N) {
        totals[i * ITEMS + j] = y[(row + i * LANES) * N + column + j * LANES];
    }
    #end
    #end
#endif
    add_blocks(&totals, group.y * SIDE, group.x * SIDE, range.y * 32u, thread);
    if (thread >= TEAM) { return; }
    #for i in ITEMS
    #for j in ITEMS
    if (row + i * LANES < tokens && column + j * LANES < N) {
        y[(row + i * LANES) * N + column + j * LANES] = totals[i * ITEMS + j];
    }
    #end
    #end
}
