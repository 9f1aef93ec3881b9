// Adds a later chunk's partial to the running one, both brought to the larger maximum.
fn folded(a: Partial, b: Partial) -> Partial {
    let top = max(a.top, b.top);
    let from_a = exponential(a.top - top);
    let from_b = exponential(b.top - top);
    return Partial(top, sealed(mul(a.weight, from_a) + mul(b.weight, from_b)),
        vec2<f32>(sealed(mul(a.value.x, from_a) + mul(b.value.x, from_b)), sealed(mul(a.value.y, from_a) + mul(b.value.y, from_b))));
}

fn averaged(a: Partial) -> vec2<f32> {
    let inverse = reciprocal(a.weight);
    return vec2<f32>(mul(a.value.x, inverse), mul(a.value.y, inverse));
}
