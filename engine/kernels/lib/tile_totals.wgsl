// All pieces of a tile, each fetched while the one before is multiplied.
#include "lib/tile_product.wgsl"

#if BLOCK_SCALES
// The sums of a block, scaled, onto those of the blocks before.
fn add_block(value: ptr<function, Values>, sum: ptr<function, Sums>, block: u32, place: Place, lane: Lane) {
    var scale: array<vec4<f32>, ROW_RUNS>;
    #for r in ROW_RUNS
    {
        let tile = range.x + min(place.tile + lane.rows / 8u + r, range.y - 1u);
        scale[r] = four_scales((tile * BLOCKS + block) * 32u + lane.rows % 8u * 4u);
    }
    #end
    #for t in TOKEN_RUNS
    {
        let codes = code_quad(place, lane.tokens + t * TOKEN_LANES, block * 64u);
        var ones = vec4<i32>(0);
        for (var quad = 0u; quad < 64u; quad++) { ones += dots(q[codes + quad * 2u], 0x01010101u); }
        #for j in FOUR
        #for r in ROW_RUNS
        {
            let i = (t * 4u + j) * ROW_RUNS + r;
            (*value)[i] = sealed4((*value)[i] + mul4(vec4<f32>((*sum)[i] - vec4<i32>(ones[j])), scale[r]));
        }
        #end
        #end
    }
    #end
    *sum = Sums();
}
#endif

// All of K: sums, or where blocks have scales of their own the values they add up to.
fn totals(place: Place, lane: Lane, thread: u32) -> Totals {
    var sum = Sums();
#if BLOCK_SCALES
    var value = Values();
#endif
    var ahead = fetched(0u, place, thread);
    stage(ahead, 0u, thread);
    workgroupBarrier();
    for (var piece = step.zero; piece < PIECES; piece++) {                 // the bound hides: unrolled, loops outgrow a GPU's instruction cache
        ahead = fetched(min(piece + 1u, PIECES - 1u), place, thread);
        multiply(&sum, piece, lane);
#if BLOCK_SCALES
        if ((piece + 1u) % BLOCK_PIECES == 0u) { add_block(&value, &sum, piece / BLOCK_PIECES, place, lane); }
#endif
        stage(ahead, piece + 1u, thread);
        workgroupBarrier();
    }
#if BLOCK_SCALES
    return value;
#else
    return sum;
#endif
}
