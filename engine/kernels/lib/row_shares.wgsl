// One token's dots with TILES rows, LANES apart, by one thread: every SLICES-th unit of the columns. Reads acts (int8 quads).
alias Tiles = array<i32, TILES>;
#include "lib/units.wgsl"

// Adds the dots of one unit of TILES rows; every activation is read once for all of them.
fn unit_dots(sum: ptr<function, Tiles>, words: Words, unit: u32) {
    let act = unit / BLOCK_UNITS * 64u;
    let first = unit % BLOCK_UNITS * BATCH;
    #for b in BATCH
    #for part in PARTS
    {
        var state: array<vec2<u32>, TILES>;
        #for t in TILES
        state[t] = opened(words[t * BATCH + b][part]);
        #end
        for (var turn = 0u; turn < WORD_QUADS; turn += UNROLLED) {
        #for k in UNROLLED
        {
            let quad = acts[act + quad_at((first + b) * PARTS + part, turn + k)];
            #for t in TILES
            {
                let next = shown(state[t]);
                (*sum)[t] += dot4(quad_of(next), quad);
                state[t] = rest_of(next);
            }
            #end
        }
        #end
        }
    }
    #end
    #end
}

// One thread's share of its rows: int32 dots, or with block scales (SLICES is 1 then) the bits of float sums over blocks.
// `ahead` is the first unit, fetched before the activations were ready.
fn shares(first: u32, slice: u32, ahead_of: Words) -> Tiles {
    var ahead = ahead_of;
    var total = Tiles();
    var dots = Tiles();
    for (var unit = slice; unit < UNITS; unit += SLICES) {
        let now = ahead;
        if (unit + SLICES < UNITS) { ahead = fetched(first, unit + SLICES); }
        unit_dots(&dots, now, unit);
#if BLOCK_SCALES
        if ((unit + 1u) % BLOCK_UNITS != 0u) { continue; }
        let block = unit / BLOCK_UNITS;
        var ones = 0;
        for (var quad = 0u; quad < 64u; quad++) { ones += dot4(0x01010101u, acts[block * 64u + quad]); }
        #for t in TILES
        {
            let row = range.x * 32u + first + t * LANES;
            let scale = scales[(row / 32u * BLOCKS + block) * 32u + row % 32u];
            total[t] = bitcast<i32>(sealed(bitcast<f32>(total[t]) + mul(f32(dots[t] - ones), scale)));
        }
        #end
        dots = Tiles();
#endif
    }
#if BLOCK_SCALES
    return total;
#else
    return dots;
#endif
}
