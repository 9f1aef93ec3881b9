// TQ2_0: 16 words of 256 two-bit codes (trit + 1). Bit pairs 2l of word w hold four neighbours: weights 128 g + 32 l + 4 w.

// A word opens into a state; shown() brings its next quad up, quad_of() reads it, rest_of() drops it.
fn shown(state: vec2<u32>) -> vec2<u32> {
    return state;
}

fn quad_of(shown_state: vec2<u32>) -> u32 {
    return shown_state.x & 0x03030303u;
}

fn rest_of(shown_state: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(shown_state.x >> 2u, 0u);
}

fn opened(word: u32) -> vec2<u32> {
    return vec2<u32>(word, 0u);
}

// All four quads of a word of four rows.
fn quads_of(words: vec4<u32>) -> array<vec4<u32>, 4> {
    let mask = vec4<u32>(0x03030303u);
    return array<vec4<u32>, 4>(words & mask, (words >> vec4<u32>(2u)) & mask, (words >> vec4<u32>(4u)) & mask,
        (words >> vec4<u32>(6u)) & mask);
}

// One quad of a word without those before it, by the place that place_of() gives.
fn quad_in(word: u32, place: u32) -> u32 {
    return (word >> place) & 0x03030303u;
}

// The same quad of the same word of four rows.
fn quads_in(words: vec4<u32>, place: u32) -> vec4<u32> {
    return (words >> vec4<u32>(place)) & vec4<u32>(0x03030303u);
}

// The word that holds a run of four columns (0..63 of the block), and its place there: bit 2 l for the l-th quad.
fn place_of(quad: u32) -> vec2<u32> {
    return vec2<u32>(quad / 32u * 8u + quad % 8u, quad / 8u % 4u * 2u);
}

// Which run of four columns (of the block's 64) the l-th quad of word w holds.
fn quad_at(word: u32, l: u32) -> u32 {
    return (word & 8u) * 4u + l * 8u + (word & 7u);
}
