// The left factor (M, K) of a product, four neighbouring terms of a row at a time; zeros beyond its rows and terms.
#if A_QUADS
@group(0) @binding(auto) var<storage, read> a: array<vec4<f32>>;          // (M, K) as quads

fn left4(row: u32, quad: u32, terms: u32) -> vec4<f32> {
    if (row >= M || quad * 4u >= terms) { return vec4<f32>(0.0); }
    return a[row * (K / 4u) + quad];
}
#else
@group(0) @binding(auto) var<storage, read> a: array<f32>;                // (M, K), or (K, M)

fn left1(row: u32, k: u32, terms: u32) -> f32 {
    if (row >= M || k >= terms) { return 0.0; }
#if TRANSPOSE_A
    return a[k * M + row];
#else
    return a[row * K + k];
#endif
}

fn left4(row: u32, quad: u32, terms: u32) -> vec4<f32> {
    let k = quad * 4u;
    return vec4<f32>(left1(row, k, terms), left1(row, k + 1u, terms), left1(row, k + 2u, terms), left1(row, k + 3u, terms));
}
#endif
