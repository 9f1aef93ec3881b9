// The right factor (K, N) of a product, four neighbouring terms of a column at a time; zeros beyond its columns and terms.
#if B_QUADS
@group(0) @binding(auto) var<storage, read> b: array<vec4<f32>>;          // (N, K) as quads

fn right4(column: u32, quad: u32, terms: u32) -> vec4<f32> {
    if (column >= N || quad * 4u >= terms) { return vec4<f32>(0.0); }
    return b[column * (K / 4u) + quad];
}
#else
@group(0) @binding(auto) var<storage, read> b: array<f32>;                // (K, N), or (N, K)

fn right1(column: u32, k: u32, terms: u32) -> f32 {
    if (column >= N || k >= terms) { return 0.0; }
#if TRANSPOSE_B
    return b[column * K + k];
#else
    return b[k * N + column];
#endif
}

fn right4(column: u32, quad: u32, terms: u32) -> vec4<f32> {
    let k = quad * 4u;
    return vec4<f32>(right1(column, k, terms), right1(column, k + 1u, terms), right1(column, k + 2u, terms),
        right1(column, k + 3u, terms));
}
#endif
