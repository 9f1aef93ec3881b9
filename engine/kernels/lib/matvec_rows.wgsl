// What a workgroup of ternary_matvec.wgsl does with its rows between the norm and the store. Reads acts, writes and reads partial.
alias Tiles = array<i32, TILES>;
#include "lib/block_dots.wgsl"

// Which block a thread takes after `unit` of `turn`: (turn, unit).
fn after(turn: u32, unit: u32, slice: u32) -> vec2<u32> {
    return select(vec2<u32>(turn, unit + SLICES), vec2<u32>(turn + 1u, slice), unit + SLICES >= BLOCKS);
}

// The dots of one thread's share of the workgroup's rows, to `partial`: int32, or with block scales (SLICES is 1 then) the bits of float
// sums over blocks. `fetched` is its first block.
fn put_shares(first: u32, slice: u32, thread: u32, fetched: Words) {
    var ahead = fetched;
    for (var turn = 0u; turn < TURNS; turn++) {
        var total = Tiles();
        for (var unit = slice; unit < BLOCKS; unit += SLICES) {
            let now = ahead;
            let next = after(turn, unit, slice);
            if (next.x < TURNS) { ahead = block_words(first + next.x * TILES * LANES, next.y); }
#if BLOCK_SCALES
            var dots = Tiles();
            add_block(&dots, now, unit);
            let ones = code_total(unit);
            #for t in TILES
            {
                let row = range.x * 32u + first + (turn * TILES + t) * LANES;
                let scale = scales[(row / 32u * BLOCKS + unit) * 32u + row % 32u];
                total[t] = bitcast<i32>(sealed(bitcast<f32>(total[t]) + mul(f32(dots[t] - ones), scale)));
            }
            #end
#else
            add_block(&total, now, unit);
#endif
        }
        #for t in TILES
        partial[(turn * TILES + t) * WG + thread] = total[t];
        #end
    }
}

// The sum of the activations' codes of one block, for products of codes trit + 1.
fn code_total(block: u32) -> i32 {
    var sum = 0;
    for (var quads = 0u; quads < 16u; quads++) {
        let a = acts[block * 16u + quads];
        sum += dot4(0x01010101u, a.x) + dot4(0x01010101u, a.y) + dot4(0x01010101u, a.z) + dot4(0x01010101u, a.w);
    }
    return sum;
}

// The scaled sum of row `row` of the workgroup.
fn row_value(row: u32, row_scale: f32, act_scale: f32) -> f32 {
    let at = row / LANES * WG + row % LANES;
#if BLOCK_SCALES
    return mul(bitcast<f32>(partial[at]), act_scale);
#else
    var sum = 0;
    for (var i = 0u; i < CODE_SUMS; i++) { sum -= code_sum[i]; }
    for (var slice = 0u; slice < SLICES; slice++) { sum += partial[at + slice * LANES]; }
    return mul(f32(sum), mul(row_scale, act_scale));
#endif
}
