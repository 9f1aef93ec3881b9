// The left factor (M, K) of a product, four neighbouring terms of a row at a time; zeros beyond its rows and terms. Loads
// are never skipped: those of a branch would wait for one another.
#if A_QUADS
@group(0) @binding(auto) var<storage, read> a: array<vec4<f32>>;          // (M, K) as quads

fn left4(row: u32, quad: u32, terms: u32) -> vec4<f32> {
    let value = a[min(row, M - 1u) * (K / 4u) + min(quad, K / 4u - 1u)];
    return select(vec4<f32>(0.0), value, row < M && quad * 4u < terms);
}
#else
@group(0) @binding(auto) var<storage, read> a: array<f32>;                // (M, K), or (K, M)

fn left1(row: u32, k: u32, terms: u32) -> f32 {
#if TRANSPOSE_A
    let value = a[min(k, K - 1u) * M + min(row, M - 1u)];
#else
    let value = a[min(row, M - 1u) * K + min(k, K - 1u)];
#endif
    return select(0.0, value, row < M && k < terms);
}

fn left4(row: u32, quad: u32, terms: u32) -> vec4<f32> {
    let k = quad * 4u;
    return vec4<f32>(left1(row, k, terms), left1(row, k + 1u, terms), left1(row, k + 2u, terms), left1(row, k + 3u, terms));
}
#endif
