// Elementary functions from + - * alone, in a fixed order: the same bits on every device. NumPy twin: engine/ops/exact.py.
#include "lib/step.wgsl"

const ROUND: f32 = 12582912.0;             // 1.5 * 2^23: adding it rounds half to even and leaves the integer in the low bits
const ROUND_BITS: i32 = 0x4B400000;

fn sum4(a: vec4<f32>) -> f32 {
    return sealed(a.x + a.y) + sealed(a.z + a.w);
}

// Nearest integer, ties to even, for |x| < 2^22.
fn nearest(x: f32) -> i32 {
    return bitcast<i32>(x + ROUND) - ROUND_BITS;
}

// 1/x for x in [2^-125, 2^125]: integer seed (12 % off), three Newton steps.
fn reciprocal(x: f32) -> f32 {
    var y = bitcast<f32>(0x7EF311C7u - bitcast<u32>(x));
    for (var i = 0u; i < 3u; i++) {
        y = mul(y, sealed(2.0 - mul(x, y)));
    }
    return y;
}

// 1/sqrt(x) for normal x > 0: integer seed (0.2 % off), three Newton steps.
fn inverse_sqrt(x: f32) -> f32 {
    let half = mul(0.5, x);
    var y = bitcast<f32>(0x5F3759DFu - (bitcast<u32>(x) >> 1u));
    for (var i = 0u; i < 3u; i++) {
        y = mul(y, sealed(1.5 - mul(mul(half, y), y)));
    }
    return y;
}

// e^x for x clamped to [-60, 60]: 2^n e^r, |r| <= ln(2)/2, degree-7 polynomial (coefficients: Cephes expf).
fn exponential(x_any: f32) -> f32 {
    let x = clamp(x_any, -60.0, 60.0);
    let n = nearest(mul(x, 1.44269504));
    let whole = f32(n);
    let r = sealed(sealed(x - mul(whole, 0.693359375)) - mul(whole, -2.12194440e-4));
    var p = 1.98756915e-4;
    p = sealed(mul(p, r) + 1.39819995e-3);
    p = sealed(mul(p, r) + 8.33345191e-3);
    p = sealed(mul(p, r) + 4.16657959e-2);
    p = sealed(mul(p, r) + 1.66666655e-1);
    p = sealed(mul(p, r) + 5.00000012e-1);
    p = sealed(sealed(mul(mul(p, r), r) + r) + 1.0);
    return mul(p, bitcast<f32>(u32(n + 127) << 23u));
}

// ln(x) for normal x > 0: x = 2^n m, m in [sqrt(1/2), sqrt(2)), degree-9 polynomial in m - 1 (coefficients: Cephes logf).
fn logarithm(x: f32) -> f32 {
    let bits = bitcast<u32>(x) + (0x3F800000u - 0x3F3504F3u);
    let n = f32(i32(bits >> 23u) - 127);
    let m = sealed(bitcast<f32>((bits & 0x007FFFFFu) + 0x3F3504F3u) - 1.0);
    var p = 7.03768361e-2;
    p = sealed(mul(p, m) - 1.15146101e-1);
    p = sealed(mul(p, m) + 1.16769984e-1);
    p = sealed(mul(p, m) - 1.24201410e-1);
    p = sealed(mul(p, m) + 1.42493233e-1);
    p = sealed(mul(p, m) - 1.66680574e-1);
    p = sealed(mul(p, m) + 2.00007141e-1);
    p = sealed(mul(p, m) - 2.49999940e-1);
    p = sealed(mul(p, m) + 3.33333313e-1);
    let square = mul(m, m);
    var y = mul(mul(p, m), square);
    y = sealed(y + mul(n, -2.12194440e-4));
    y = sealed(y - mul(0.5, square));
    return sealed(sealed(m + y) + mul(n, 0.693359375));
}
