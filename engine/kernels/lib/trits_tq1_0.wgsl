// TQ1_0: 13 words of base-3 fractions, five trits a byte. With q a byte, F_l = (q 3^(l+1)) >> 8 is the number that its first l + 1 digits
// write, so digit l is F_l - 3 F_(l-1); in packed bytes no borrow crosses, since every digit is 0, 1 or 2.
struct Trits {
    even: u32,        // bytes 0 and 2 times 3^(l+1), sixteen bits each
    odd: u32,         // bytes 1 and 3
    whole: u32,       // F_l of all four
    quad: u32,        // digit l of all four
}

fn opened(word: u32) -> Trits {
    return advanced(Trits(word & 0x00FF00FFu, (word >> 8u) & 0x00FF00FFu, 0u, 0u));
}

fn quad_of(trits: Trits) -> u32 {
    return trits.quad;
}

fn advanced(trits: Trits) -> Trits {
    let even = trits.even * 3u;
    let odd = trits.odd * 3u;
    let whole = ((even >> 8u) & 0x00FF00FFu) | (odd & 0xFF00FF00u);
    return Trits(even, odd, whole, whole - trits.whole * 3u);
}

// Which four neighbouring quads (of the block's 16 fours) the l-th quads of words 4 g .. 4 g + 3 are.
fn quads_at(g: u32, l: u32) -> u32 {
    return select(10u + l, 2u * l + g, g < 2u);
}
