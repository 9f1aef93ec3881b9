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

// Two words of two rows, the same columns in both: byte c of both in result c, the first row's in the low half.
alias Pair = vec4<u32>;

fn paired(a: u32, b: u32) -> Pair {
    let low = (a & 0xFFFFu) | (b << 16u);
    let high = (a >> 16u) | (b & 0xFFFF0000u);
    return vec4<u32>(low, low >> 8u, high, high >> 8u) & vec4<u32>(0x00FF00FFu);
}

// 3^l
fn digit_place(l: u32) -> u32 {
    return select(select(3u, 1u, l == 0u), select(select(81u, 27u, l == 3u), 9u, l == 2u), l > 1u);
}

// The digits at one place of both words' four bytes, the first row's in the low half of each result.
fn codes_of(pair: Pair, place: u32) -> vec4<u32> {
    return ((((pair * place) & vec4<u32>(0x00FF00FFu)) * 3u) >> vec4<u32>(8u)) & vec4<u32>(0x00030003u);
}

// Which four neighbouring quads (of the block's 16 fours) the l-th quads of words 4 g .. 4 g + 3 are.
fn quads_at(g: u32, l: u32) -> u32 {
    return select(10u + l, 2u * l + g, g < 2u);
}
