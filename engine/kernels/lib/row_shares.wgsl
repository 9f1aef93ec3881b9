// One token's dots with TILES rows, 32 apart, by one thread: every SLICES-th unit of the columns. Reads acts (int8 quads).
alias Tiles = array<i32, TILES>;
alias Words = array<vec2<u32>, TILES * BATCH>;
const UNITS: u32 = BLOCKS * LOADS / BATCH;   // a unit is BATCH loads of a row, in flight together

fn fetched(first_tile: u32, row: u32, unit: u32) -> Words {
    var words: Words;
    #for t in TILES
    {
        let at = (min(first_tile + t, range.y - 1u) * BLOCKS * LOADS + unit * BATCH) * 32u + row;
        #for b in BATCH
        words[t * BATCH + b] = loaded(at + b * 32u);
        #end
    }
    #end
    return words;
}

// Adds the dots of one unit of TILES rows, 32 apart; every activation is read once for all of them.
fn unit_dots(sum: ptr<function, Tiles>, words: Words, unit: u32) {
    let act = unit * BATCH / LOADS * 64u;
    let first = unit * BATCH % LOADS;
    #for b in BATCH
    #for part in PARTS
    {
        var state: array<vec2<u32>, TILES>;
        #for t in TILES
        state[t] = opened(words[t * BATCH + b][part]);
        #end
        for (var l = 0u; l < WORD_QUADS; l++) {
            let quad = acts[act + quad_at((first + b) * PARTS + part, l)];
            #for t in TILES
            {
                let turn = shown(state[t]);
                (*sum)[t] += dot4(quad_of(turn), quad);
                state[t] = rest_of(turn);
            }
            #end
        }
    }
    #end
    #end
}

// One thread's share of its rows: int32 dots, or with block scales (SLICES is 1 then) the bits of float sums over blocks.
// `ahead` is the first unit, fetched before the activations were ready.
fn shares(first_tile: u32, row: u32, slice: u32, ahead_of: Words) -> Tiles {
    var ahead = ahead_of;
    var total = Tiles();
    var dots = Tiles();
    for (var unit = slice; unit < UNITS; unit += SLICES) {
        let now = ahead;
        if (unit + SLICES < UNITS) { ahead = fetched(first_tile, row, unit + SLICES); }
        unit_dots(&dots, now, unit);
#if BLOCK_SCALES
        if ((unit + 1u) * BATCH % LOADS != 0u) { continue; }
        let block = unit * BATCH / LOADS;
        var ones = 0;
        for (var quad = 0u; quad < 64u; quad++) { ones += dot4(0x01010101u, acts[block * 64u + quad]); }
        #for t in TILES
        {
            let scale = scales[((range.x + first_tile + t) * BLOCKS + block) * 32u + row];
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
