// y (M, N) [+]= SCALE op(a) op(b), for results of many tiles: a workgroup owns a tile of the result and all of its terms.
#include "lib/matmul.wgsl"
#include "lib/product_tile.wgsl"

// Neighbouring threads read along the dimension in which a factor lies contiguous.
fn stage(first_row: u32, first_column: u32, quad: u32, base: u32, thread: u32) {
    let terms = terms_now();
    for (var item = thread; item < CHUNK * SIDE; item += TEAM) {
        let along = vec2<u32>(item % CHUNK, item / CHUNK);                // (quad, row)
        let across = vec2<u32>(item / SIDE, item % SIDE);
#if TRANSPOSE_A
        left[base + across.x * PITCH + across.y] = left4(first_row + across.y, quad + across.x, terms);
#else
        left[base + along.x * PITCH + along.y] = left4(first_row + along.y, quad + along.x, terms);
#endif
#if TRANSPOSE_B
        right[base + along.x * PITCH + along.y] = right4(first_column + along.y, quad + along.x, terms);
#else
        right[base + across.x * PITCH + across.y] = right4(first_column + across.y, quad + across.x, terms);
#endif
    }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_row = group.y * SIDE;
    let first_column = group.x * SIDE;
    if (first_row >= rows_now()) { return; }
    var totals = Totals();
    add_blocks(&totals, first_row, first_column, terms_now(), thread);
    if (thread >= TEAM) { return; }
    let row = first_row + thread / LANES;
    let column = first_column + thread % LANES;
    var old: Totals;
    #for i in ITEMS
    #for j in ITEMS
    old[i * ITEMS + j] = before(row + i * LANES, column + j * LANES);
    #end
    #end
    #for i in ITEMS
    #for j in ITEMS
    store(row + i * LANES, column + j * LANES, totals[i * ITEMS + j], old[i * ITEMS + j]);
    #end
    #end
}
