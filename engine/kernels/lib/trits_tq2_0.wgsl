// TQ2_0: 16 words of 256 two-bit codes (trit + 1). Bit pairs 2l of word w hold four neighbours: weights 128 g + 32 l + 4 w.
alias Trits = u32;    // a word whose next quad lies lowest

fn opened(word: u32) -> Trits {
    return word;
}

fn quad_of(trits: Trits) -> u32 {
    return trits & 0x03030303u;
}

fn advanced(trits: Trits) -> Trits {
    return trits >> 2u;
}

// Which four neighbouring quads (of the block's 16 fours) the l-th quads of words 4 g .. 4 g + 3 are.
fn quads_at(g: u32, l: u32) -> u32 {
    return g / 2u * 8u + 2u * l + g % 2u;
}
