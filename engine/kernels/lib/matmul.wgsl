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

fn store(row: u32, column: u32, sum: f32) {
    if (row >= rows_now() || column >= N) { return; }
    let at = row * STRIDE + COLUMN + column;
    let value = mul(sum, SCALE);
#if ADDS
    y[at] = y[at] + value;
#else
    y[at] = value;
#endif
}
