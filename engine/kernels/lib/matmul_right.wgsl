// The right factor (K, N) of a product, four neighbouring terms of a column at a time; zeros beyond its columns and terms.
#if B_QUADS
@group(0) @binding(auto) var<storage, read> b: array<vec4<f32>>;          // (N, K) as quads

fn right4(column: u32, quad: u32, terms: u32) -> vec4<f32> {
    let value = b[min(column, N - 1u) * (K / 4u) + min(quad, K / 4u - 1u)];
    return select(vec4<f32>(0.0), value, column < N && quad * 4u < terms);
}
#else
@group(0) @binding(auto) var<storage, read> b: array<f32>;                // (K, N), or (N, K)

fn right1(column: u32, k: u32, terms: u32) -> f32 {
#if TRANSPOSE_B
    let value = b[min(column, N - 1u) * K + min(k, K - 1u)];
#else
    let value = b[min(k, K - 1u) * N + min(column, N - 1u)];
#endif
    return select(0.0, value, column < N && k < terms);
}

fn right4(column: u32, quad: u32, terms: u32) -> vec4<f32> {
    let k = quad * 4u;
    return vec4<f32>(right1(column, k, terms), right1(column, k + 1u, terms), right1(column, k + 2u, terms),
        right1(column, k + 3u, terms));
}
#endif
