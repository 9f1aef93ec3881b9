// y (M, N) = a (M, K) W^T (N, K dense, in tiles of 32 rows), for many tokens: each weight is unpacked once for a tile of them. The
// same sums as dense_product.wgsl.
#include "lib/exact.wgsl"
#include "dense"

#include "lib/words.wgsl"
@group(0) @binding(auto) var<uniform> range: vec4<u32>;                   // first tile of this dispatch, tiles
#include "lib/matmul_left.wgsl"
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;          // (M, N)
#include "lib/product_tile.wgsl"

fn stage(first_row: u32, first_column: u32, quad: u32, base: u32, thread: u32) {
    for (var item = thread; item < CHUNK * SIDE; item += TEAM) {
        let row = item / CHUNK;
        left[base + item % CHUNK * PITCH + row] = left4(first_row + row, quad + item % CHUNK, K);
    }
    for (var item = thread; item < CHUNK * SIDE; item += TEAM) {
        let column = min(first_column + item % SIDE, range.y * 32u - 1u);
        let term = quad + item / SIDE;
        let at = (column / 32u * BLOCKS + term / 64u) * LOADS * 32u + column % 32u;
        right[base + item / SIDE * PITCH + item % SIDE] = dense4(at, term % 64u);
    }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let tokens = min(step.count, M);
    if (group.y * SIDE >= tokens) { return; }
    var totals = Totals();
    add_blocks(&totals, group.y * SIDE, group.x * SIDE, K, thread);
    if (thread >= TEAM) { return; }
    let row = group.y * SIDE + thread / LANES;
    let column = group.x * SIDE + thread % LANES;
    #for i in ITEMS
    #for j in ITEMS
    {
        let at = range.x * 32u + column + j * LANES;
        if (row + i * LANES < tokens && column + j * LANES < range.y * 32u && at < N) {
            y[(row + i * LANES) * N + at] = totals[i * ITEMS + j];
        }
    }
    #end
    #end
}
