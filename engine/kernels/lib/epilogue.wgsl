// What happens to a finished sum: scale, then residual or gate.
fn gated(gate: f32, up: f32) -> f32 {
#if RELU2
    let positive = max(gate, 0.0);
    return mul(mul(positive, positive), up);
#else
    return mul(mul(gate, reciprocal(sealed(1.0 + exponential(-gate)))), up);
#endif
}
