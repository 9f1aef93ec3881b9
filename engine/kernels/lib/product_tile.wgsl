// A workgroup's SIDE x SIDE results of a product: LANES x LANES threads with ITEMS x ITEMS results each, LANES apart, from
// factors staged in workgroup memory 32 terms at a time. Four interleaved sums (term mod 4) a block of 256 terms, joined
// (0 + 1) + (2 + 3); blocks added in order. The kernel says how terms are staged.
const WG: u32 = LANES * LANES;
const SIDE: u32 = LANES * ITEMS;
const CHUNK: u32 = 8u;                          // quads of terms staged at once
const PITCH: u32 = SIDE + 1u;                   // one more than SIDE: threads that write one row lie in different banks
const BLOCK_QUADS: u32 = 64u;
alias Sums = array<vec4<f32>, ITEMS * ITEMS>;
alias Totals = array<f32, ITEMS * ITEMS>;

var<workgroup> left: array<vec4<f32>, CHUNK * PITCH>;    // [quad][row]
var<workgroup> right: array<vec4<f32>, CHUNK * PITCH>;   // [quad][column]

fn add_products(sums: ptr<function, Sums>, quads: u32, thread: u32) {
    for (var quad = 0u; quad < quads; quad++) {
        let row = quad * PITCH + thread / LANES;
        let column = quad * PITCH + thread % LANES;
        var factor: array<vec4<f32>, ITEMS>;
        #for j in ITEMS
        factor[j] = right[column + j * LANES];
        #end
        #for i in ITEMS
        {
            let value = left[row + i * LANES];
            #for j in ITEMS
            (*sums)[i * ITEMS + j] = sealed4((*sums)[i * ITEMS + j] + mul4(value, factor[j]));
            #end
        }
        #end
    }
}

// Adds the block sums of `terms` terms to the totals; every thread of the workgroup must call it.
fn add_blocks(totals: ptr<function, Totals>, first_row: u32, first_column: u32, terms: u32, thread: u32) {
    let quads = (terms + 3u) / 4u;
    for (var block = 0u; block < quads; block += BLOCK_QUADS) {
        var sums = Sums();
        let end = min(quads, block + BLOCK_QUADS);
        for (var quad = block; quad < end; quad += CHUNK) {
            workgroupBarrier();
            stage(first_row, first_column, quad, thread);
            workgroupBarrier();
            add_products(&sums, min(CHUNK, end - quad), thread);
        }
        #for i in RESULTS
        (*totals)[i] = sealed((*totals)[i] + sum4(sums[i]));
        #end
    }
}
