// A unit is BATCH loads of a row, in flight together: fetched ahead, used when the unit before is done.
const BLOCK_UNITS: u32 = LOADS / BATCH;
const UNITS: u32 = BLOCKS * BLOCK_UNITS;
alias Words = array<vec2<u32>, TILES * BATCH>;

// One unit of TILES rows, LANES apart, the first one `first` rows into this dispatch.
fn fetched(first: u32, unit: u32) -> Words {
    var words: Words;
    #for t in TILES
    {
        let row = min(first + t * LANES, range.y * 32u - 1u);
        let at = (row / 32u * BLOCKS * LOADS + unit * BATCH) * 32u + row % 32u;
        #for b in BATCH
        words[t * BATCH + b] = loaded(at + b * 32u);
        #end
    }
    #end
    return words;
}
