// A workgroup's SIDE x SIDE results of a product: LANES x LANES threads with ITEMS x ITEMS results each, LANES apart, from
// factors staged in workgroup memory 32 terms at a time. Four interleaved sums (term mod 4) a block of 256 terms, joined
// (0 + 1) + (2 + 3); blocks added in order. SLICES teams of such threads do a block each at a time. The kernel says how terms
// are staged.
const TEAM: u32 = LANES * LANES;
const WG: u32 = TEAM * SLICES;
const SIDE: u32 = LANES * ITEMS;
const CHUNK: u32 = 8u;                          // quads of terms staged at once
const PITCH: u32 = SIDE + 1u;                   // one more than SIDE: threads that write one row lie in different banks
const STAGED: u32 = CHUNK * PITCH;              // of a team
const BLOCK_QUADS: u32 = 64u;
alias Sums = array<vec4<f32>, ITEMS * ITEMS>;
alias Totals = array<f32, ITEMS * ITEMS>;

var<workgroup> left: array<vec4<f32>, SLICES * STAGED>;    // [team][quad][row]
var<workgroup> right: array<vec4<f32>, SLICES * STAGED>;   // [team][quad][column]
#if SLICED
var<workgroup> block_sum: array<f32, RESULTS * TEAM>;
#endif

fn add_products(sums: ptr<function, Sums>, base: u32, quads: u32, thread: u32) {
    for (var quad = 0u; quad < quads; quad++) {
        let row = base + quad * PITCH + thread / LANES;
        let column = base + quad * PITCH + thread % LANES;
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

// Adds the block sums of `terms` terms to the totals of the first team; every thread of the workgroup must call it.
fn add_blocks(totals: ptr<function, Totals>, first_row: u32, first_column: u32, terms: u32, thread: u32) {
    let quads = (terms + 3u) / 4u;
    let team = thread / TEAM;
    for (var block = 0u; block < quads; block += BLOCK_QUADS * SLICES) {
        var sums = Sums();
        let first = block + team * BLOCK_QUADS;
        let end = min(quads, first + BLOCK_QUADS);
        for (var ahead = 0u; ahead < min(BLOCK_QUADS, quads - block); ahead += CHUNK) {
            let quad = first + ahead;
            workgroupBarrier();
            if (quad < end) { stage(first_row, first_column, quad, team * STAGED, thread % TEAM); }
            workgroupBarrier();
            if (quad < end) { add_products(&sums, team * STAGED, min(CHUNK, end - quad), thread % TEAM); }
        }
        #for i in RESULTS
        (*totals)[i] = sealed((*totals)[i] + sum4(sums[i]));
        #end
#if SLICED
        for (var other = 1u; other < SLICES && block + other * BLOCK_QUADS < quads; other++) {
            workgroupBarrier();
            if (team == other) { give(sums, thread % TEAM); }
            workgroupBarrier();
            if (team == 0u) { take(totals, thread); }
        }
#endif
    }
}

#if SLICED
fn give(sums: Sums, thread: u32) {
    #for i in RESULTS
    block_sum[i * TEAM + thread] = sum4(sums[i]);
    #end
}

fn take(totals: ptr<function, Totals>, thread: u32) {
    #for i in RESULTS
    (*totals)[i] = sealed((*totals)[i] + block_sum[i * TEAM + thread]);
    #end
}
#endif
