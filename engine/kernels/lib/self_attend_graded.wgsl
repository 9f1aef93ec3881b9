// What a pair (query, key) adds to gradients.
@group(0) @binding(auto) var<storage, read> terms: array<vec4<f32>>;      // (M, HEADS): (largest score, 1/sum, dy.y, 0)
@group(0) @binding(auto) var<storage, read> dy: array<vec4<f32>>;         // (M, HEADS, QUADS)

struct Graded {
    weight: f32,      // p
    score: f32,       // gradient of q . k
}

// From q . k and dy . v, each still four sums, and the query's terms.
fn graded(product: vec4<f32>, change: vec4<f32>, term: vec4<f32>) -> Graded {
    let shifted = sealed(mul(sum4(product), SCALE) - term.x);
    let weight = select(0.0, mul(exponential(shifted), term.y), shifted >= NEGLIGIBLE);
    let excess = sealed(sealed(sum4(change)) - term.z);
    return Graded(weight, mul(mul(weight, excess), SCALE));
}
