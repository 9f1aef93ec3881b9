// y (M, N) [+]= SCALE op(a) op(b), for few results of many terms: a workgroup owns ROWS x COLUMNS results, and its threads
// share the blocks of 256 terms, SLICES blocks at a time. Same order of sums as lib/product_tile.wgsl.
#include "lib/matmul.wgsl"
const RESULTS: u32 = ROWS * COLUMNS;
const WG: u32 = RESULTS * SLICES;
const BLOCK_QUADS: u32 = 64u;
var<workgroup> block_sum: array<f32, WG>;                                 // [block of this turn][result]

// Quads are loaded AHEAD at a time, so that a thread waits once for all of them; beyond the last term they are zeros.
fn block_total(row: u32, column: u32, first: u32, terms: u32) -> f32 {
    var sum = vec4<f32>(0.0);
    for (var quad = first; quad < min(first + BLOCK_QUADS, (terms + 3u) / 4u); quad += AHEAD) {
        var left: array<vec4<f32>, AHEAD>;
        var right: array<vec4<f32>, AHEAD>;
        #for i in AHEAD
        left[i] = left4(row, quad + i, terms);
        right[i] = right4(column, quad + i, terms);
        #end
        #for i in AHEAD
        sum = sealed4(sum + mul4(left[i], right[i]));
        #end
    }
    return sum4(sum);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let result = thread % RESULTS;
    let slice = thread / RESULTS;
    let row = group.y * ROWS + result / COLUMNS;
    let column = group.x * COLUMNS + result % COLUMNS;
    let terms = terms_now();
    if (group.y * ROWS >= rows_now()) { return; }
    var total = 0.0;
    for (var first = 0u; first * 4u < terms; first += BLOCK_QUADS * SLICES) {
        block_sum[thread] = block_total(row, column, first + slice * BLOCK_QUADS, terms);  // 0 beyond the last block
        workgroupBarrier();
        if (slice == 0u) {
            for (var i = 0u; i < SLICES; i++) { total = sealed(total + block_sum[i * RESULTS + result]); }
        }
        workgroupBarrier();
    }
    if (slice == 0u) { store(row, column, total, before(row, column)); }
}
