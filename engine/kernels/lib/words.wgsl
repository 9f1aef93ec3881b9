// The weight buffer, [tile][block][load][32 rows][PARTS words]: a load brings PARTS neighbouring words of a row at once.
#if WIDE
@group(0) @binding(auto) var<storage, read> weights: array<u64>;

fn loaded(at: u32) -> vec2<u32> {
    let both = weights[at];
    return vec2<u32>(u32(both & 0xFFFFFFFFlu), u32(both >> 32u));
}
#else
#if PAIRS
@group(0) @binding(auto) var<storage, read> weights: array<vec2<u32>>;

fn loaded(at: u32) -> vec2<u32> {
    return weights[at];
}
#else
@group(0) @binding(auto) var<storage, read> weights: array<u32>;

fn loaded(at: u32) -> vec2<u32> {
    return vec2<u32>(weights[at], 0u);
}
#endif
#endif
