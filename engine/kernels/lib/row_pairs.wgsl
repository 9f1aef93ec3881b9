// One token's dots with a thread's rows on a processor: ROW_GROUPS groups of GROUP neighbouring rows, LANES groups apart. Two rows share a
// sum, one in each half of it, so that one multiplication serves both: over 128 columns a half stays below 2^15. Reads acts.
alias Tiles = array<i32, TILES>;
alias Halves = array<i32, ROW_PAIRS>;
alias Words = array<u32, TILES>;

// Load `load` of a block for all rows of a thread: word `part` of row t is [part][t].
fn loaded_rows(first: u32, block: u32, load: u32) -> array<Words, PARTS> {
    var words: array<Words, PARTS>;
    #for g in ROW_GROUPS
    {
        let row = min(first + g * LANES * GROUP, range.y * 32u - GROUP);
        let together = brought((((row / 32u * BLOCKS + block) * LOADS + load) * 32u + row % 32u) / GROUP);
        #for j in GROUP
        #for part in PARTS
        words[part][g * GROUP + j] = together[j * PARTS + part];
        #end
        #end
    }
    #end
    return words;
}

// Four int8 of a word.
fn signed4(word: u32) -> vec4<i32> {
    return vec4<i32>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
}

fn add_codes(halves: ptr<function, Halves>, pairs: array<Pair, ROW_PAIRS>, place: u32, quad: u32) {
    let act = signed4(quad);
    #for p in ROW_PAIRS
    {
        let c = bitcast<vec4<i32>>(codes_of(pairs[p], place));
        (*halves)[p] += c.x * act.x + c.y * act.y + (c.z * act.z + c.w * act.w);
    }
    #end
}

fn paired_rows(words: Words) -> array<Pair, ROW_PAIRS> {
    var pairs: array<Pair, ROW_PAIRS>;
    #for p in ROW_PAIRS
    pairs[p] = paired(words[2u * p], words[2u * p + 1u]);
    #end
    return pairs;
}

fn add_halves(sum: ptr<function, Tiles>, halves: Halves) {
    #for p in ROW_PAIRS
    {
        let low = (halves[p] << 16u) >> 16u;
        (*sum)[2u * p] += low;
        (*sum)[2u * p + 1u] += (halves[p] - low) >> 16u;
    }
    #end
}

// Adds the dots of one block to `sum`, four words of each row at a time: together they hold runs of four neighbouring quads.
fn add_block(sum: ptr<function, Tiles>, first: u32, block: u32) {
    for (var g = 0u; g < WORD_FOURS; g++) {
        var pairs: array<array<Pair, ROW_PAIRS>, 4>;
        #for b in FOUR_LOADS
        {
            let words = loaded_rows(first, block, g * FOUR_LOADS + b);
            #for part in PARTS
            pairs[b * PARTS + part] = paired_rows(words[part]);
            #end
        }
        #end
        var halves = Halves();
        for (var l = 0u; l < WORD_QUADS; l++) {
            let quads = acts[block * 16u + quads_at(g, l)];
            let place = digit_place(l);
            #for w in FOUR
            add_codes(&halves, pairs[w], place, quads[w]);
            #end
        }
        add_halves(sum, halves);
    }
#if LONE_WORD
    let pairs = paired_rows(loaded_rows(first, block, LOADS - 1u)[0]);
    let quads = acts[block * 16u + 15u];
    var halves = Halves();
    #for l in FOUR
    add_codes(&halves, pairs, digit_place(l), quads[l]);
    #end
    add_halves(sum, halves);
#endif
}

// The sum of the activations' codes of one block, for products of codes trit + 1.
fn code_total(block: u32) -> i32 {
    var sum = vec4<i32>();
    for (var fours = 0u; fours < 16u; fours++) {
        let quads = acts[block * 16u + fours];
        sum += signed4(quads.x) + signed4(quads.y) + signed4(quads.z) + signed4(quads.w);
    }
    return sum.x + sum.y + sum.z + sum.w;
}

// One thread's share of its rows: int32 dots, or with block scales (SLICES is 1 then) the bits of float sums over blocks.
fn shares(first: u32, slice: u32) -> Tiles {
    var total = Tiles();
    for (var block = slice; block < BLOCKS; block += SLICES) {
#if BLOCK_SCALES
        var dots = Tiles();
        add_block(&dots, first, block);
        let ones = code_total(block);
        #for t in TILES
        {
            let row = range.x * 32u + first + t / GROUP * LANES * GROUP + t % GROUP;
            let scale = scales[(row / 32u * BLOCKS + block) * 32u + row % 32u];
            total[t] = bitcast<i32>(sealed(bitcast<f32>(total[t]) + mul(f32(dots[t] - ones), scale)));
        }
        #end
#else
        add_block(&total, first, block);
#endif
    }
    return total;
}
