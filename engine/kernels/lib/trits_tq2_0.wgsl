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

// Two words of two rows, the same columns in both: (bytes 0 and 1 of each, bytes 2 and 3), the first row's in the low halves.
alias Pair = vec2<u32>;

fn paired(a: u32, b: u32) -> Pair {
    return vec2<u32>((a & 0xFFFFu) | (b << 16u), (a >> 16u) | (b & 0xFFFF0000u));
}

fn digit_place(l: u32) -> u32 {
    return 2u * l;
}

// The codes at one place of both words' four bytes, the first row's in the low half of each result.
fn codes_of(pair: Pair, place: u32) -> vec4<u32> {
    let at = pair >> vec2<u32>(place);
    return vec4<u32>(at.x, at.x >> 8u, at.y, at.y >> 8u) & vec4<u32>(0x00030003u);
}

// Which four neighbouring quads (of the block's 16 fours) the l-th quads of words 4 g .. 4 g + 3 are.
fn quads_at(g: u32, l: u32) -> u32 {
    return g / 2u * 8u + 2u * l + g % 2u;
}
