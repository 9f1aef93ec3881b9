// TQ2_0: 16 words of 256 two-bit codes (trit + 1). Bit pairs 2l of word w hold four neighbours: weights 128 g + 32 l + 4 w.
const BLOCK_WORDS: u32 = 16u;

fn next_quad(state: ptr<function, vec2<u32>>) -> u32 {
    let quad = (*state).x & 0x03030303u;
    (*state).x = (*state).x >> 2u;
    return quad;
}

fn opened(word: u32) -> vec2<u32> {
    return vec2<u32>(word, 0u);
}

const WORD_QUADS: u32 = 4u;

// Which run of four columns (of the block's 64) the l-th quad of word w holds.
fn quad_at(word: u32, l: u32) -> u32 {
    return (word & 8u) * 4u + l * 8u + (word & 7u);
}
