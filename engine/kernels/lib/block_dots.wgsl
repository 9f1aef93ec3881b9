// One token's dots with TILES rows, LANES apart, over one block of 256 columns. Reads acts: four neighbouring quads a vector.
alias Words = array<u32, TILES * WORDS>;

// The words of a block of TILES rows, the first of them `first` rows into this dispatch: all loads in flight together.
fn block_words(first: u32, block: u32) -> Words {
    var words: Words;
    #for t in TILES
    {
        let row = min(first + t * LANES, range.y * 32u - 1u);
        let at = (row / 32u * BLOCKS + block) * LOADS * 32u + row % 32u;
        #for b in LOADS
        {
            let load = loaded(at + b * 32u);
            words[t * WORDS + b * PARTS] = load.x;
#if PAIRS
            words[t * WORDS + b * PARTS + 1u] = load.y;
#endif
        }
        #end
    }
    #end
    return words;
}

fn dots4(s: array<Trits, 4>, quads: vec4<u32>) -> i32 {
    return dot4(quad_of(s[0]), quads.x) + dot4(quad_of(s[1]), quads.y) + dot4(quad_of(s[2]), quads.z) + dot4(quad_of(s[3]), quads.w);
}

// Adds the block's dots to `sum`. Four words together hold runs of four neighbouring quads, so activations come sixteen bytes at a time,
// once for all rows.
fn add_block(sum: ptr<function, Tiles>, words: Words, block: u32) {
    #for g in WORD_FOURS
    {
        var trits: array<array<Trits, 4>, TILES>;
        #for t in TILES
        #for w in FOUR
        trits[t][w] = opened(words[t * WORDS + 4u * g + w]);
        #end
        #end
        #for l in WORD_QUADS
        {
            let quads = acts[block * 16u + quads_at(g, l)];
            #for t in TILES
            (*sum)[t] += dots4(trits[t], quads);
            #for w in FOUR
            trits[t][w] = advanced(trits[t][w]);
            #end
            #end
        }
        #end
    }
    #end
#if LONE_WORD
    let quads = acts[block * 16u + 15u];
    #for t in TILES
    {
        let trits = opened(words[t * WORDS + WORDS - 1u]);
        let second = advanced(trits);
        let third = advanced(second);
        let last = advanced(third);
        (*sum)[t] += dot4(quad_of(trits), quads.x) + dot4(quad_of(second), quads.y) + dot4(quad_of(third), quads.z)
            + dot4(quad_of(last), quads.w);
    }
    #end
#endif
}
