// A unit is BATCH loads of a row, in flight together: fetched ahead, used when the unit before is done.
const BLOCK_UNITS: u32 = LOADS / BATCH;
const UNITS: u32 = BLOCKS * BLOCK_UNITS;
alias Words = array<vec2<u32>, TILES * BATCH>;

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
