// TQ1_0: 13 words of base-3 fractions, five trits a byte, taken off the top: q*3 -> digit in bits 8 and 9, remainder below.
// Even bytes travel in one half of the state, odd bytes in the other, sixteen bits each.

// A word opens into a state; shown() brings its next quad up, quad_of() reads it, rest_of() drops it.
fn shown(state: vec2<u32>) -> vec2<u32> {
    return state * 3u;
}

fn quad_of(shown_state: vec2<u32>) -> u32 {
    let digits = shown_state & vec2<u32>(0x03000300u);
    return (digits.x >> 8u) | digits.y;
}

fn rest_of(shown_state: vec2<u32>) -> vec2<u32> {
    return shown_state & vec2<u32>(0x00FF00FFu);
}

fn opened(word: u32) -> vec2<u32> {
    return vec2<u32>(word & 0x00FF00FFu, (word >> 8u) & 0x00FF00FFu);
}

// All five quads of a word of four rows. What l digits leave of a byte q is a whole number, q 3^l / 256 rounded down, and each digit
// what such a number has over three times the one before: a packed subtraction in which no byte borrows.
fn quads_of(words: vec4<u32>) -> array<vec4<u32>, 5> {
    let even = words & vec4<u32>(0x00FF00FFu);
    let odd = (words >> vec4<u32>(8u)) & vec4<u32>(0x00FF00FFu);
    let a = wholes(even * 3u, odd * 3u);
    let b = wholes(even * 9u, odd * 9u);
    let c = wholes(even * 27u, odd * 27u);
    let d = wholes(even * 81u, odd * 81u);
    let e = wholes(even * 243u, odd * 243u);
    return array<vec4<u32>, 5>(a, b - a * 3u, c - b * 3u, d - c * 3u, e - d * 3u);
}

fn wholes(even: vec4<u32>, odd: vec4<u32>) -> vec4<u32> {
    return ((even >> vec4<u32>(8u)) & vec4<u32>(0x00FF00FFu)) | (odd & vec4<u32>(0xFF00FF00u));
}

// One quad of a word without those before it, by the place that place_of() gives.
fn quad_in(word: u32, place: u32) -> u32 {
    return quad_of(shown((opened(word) * place) & vec2<u32>(0x00FF00FFu)));
}

// The same quad of the same word of four rows.
fn quads_in(words: vec4<u32>, place: u32) -> vec4<u32> {
    let mask = vec4<u32>(0x00FF00FFu);
    let even = (((words & mask) * place) & mask) * 3u;
    let odd = ((((words >> vec4<u32>(8u)) & mask) * place) & mask) * 3u;
    return wholes(even, odd);
}

// The word that holds a run of four columns (0..63 of the block), and its place there: 3^l for the l-th quad.
fn place_of(quad: u32) -> vec2<u32> {
    var place = vec2<u32>(12u, quad - 60u);
    if (quad < 60u) { place = vec2<u32>(8u + quad % 4u, (quad - 40u) / 4u); }
    if (quad < 40u) { place = vec2<u32>(quad % 8u, quad / 8u); }
    var power = 1u;
    for (var l = 0u; l < place.y; l++) { power *= 3u; }
    return vec2<u32>(place.x, power);
}

// The last word's fifth digit is 0 and adds nothing.
// Which run of four columns (of the block's 64) the l-th quad of word w holds.
fn quad_at(word: u32, l: u32) -> u32 {
    return select(select(min(60u + l, 63u), 32u + l * 4u + word, word < 12u), l * 8u + word, word < 8u);
}
