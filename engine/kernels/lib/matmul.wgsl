// What the kernels of MatMul share: both factors, the rows and terms of this step, and where a sum goes.
#include "lib/exact.wgsl"
#include "lib/matmul_left.wgsl"
#include "lib/matmul_right.wgsl"
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;          // (M, STRIDE), from COLUMN on

// Rows of the result that exist in this step.
fn rows_now() -> u32 {
#if TOKEN_ROWS
    return min(step.count, M);
#else
    return M;
#endif
}

// Terms of each sum that exist in this step.
fn terms_now() -> u32 {
#if TOKEN_TERMS
    return min(step.count, K);
#else
    return K;
#endif
}

// What the result adds to. A thread asks for all of its own before it stores any: a load after a store waits for it.
fn before(row: u32, column: u32) -> f32 {
#if ADDS
    return y[min(row, M - 1u) * STRIDE + COLUMN + min(column, N - 1u)];
#else
    return 0.0;
#endif
}

fn store(row: u32, column: u32, sum: f32, before: f32) {
    if (row >= rows_now() || column >= N) { return; }
    let at = row * STRIDE + COLUMN + column;
#if ADDS
    y[at] = before + mul(sum, SCALE);
#else
    y[at] = mul(sum, SCALE);
#endif
}
