// The weight buffer, [tile][block][load][32 rows][PARTS words], read by one word of four neighbouring rows.
@group(0) @binding(auto) var<storage, read> weights: array<vec4<u32>>;

// ``block``: counted through all tiles; ``row_quad``: which four of the tile's rows.
fn row_words(block: u32, word: u32, row_quad: u32) -> vec4<u32> {
#if PAIRS
    let at = (block * LOADS + word / 2u) * 16u + row_quad * 2u;
    let low = weights[at];
    let high = weights[at + 1u];
    return select(vec4<u32>(low.xz, high.xz), vec4<u32>(low.yw, high.yw), word % 2u == 1u);
#else
    return weights[(block * LOADS + word) * 8u + row_quad];
#endif
}
