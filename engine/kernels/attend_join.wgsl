// Folds the partials of a token's chunks, in their order: [head][chunk][2 + D] -> y (H D).
@group(0) @binding(auto) var<storage, read> partials: array<vec2<f32>>;
@group(0) @binding(auto) var<storage, read_write> y: array<vec2<f32>>;

#include "lib/exact.wgsl"
const WORDS: u32 = D / 2u;
struct Partial {
    top: f32,
    weight: f32,
    value: vec2<f32>,
}
#include "lib/attend_fold.wgsl"

fn loaded(head: u32, chunk: u32, word: u32) -> Partial {
    let at = (head * CHUNKS + chunk) * (1u + WORDS);
    return Partial(partials[at].x, partials[at].y, partials[at + 1u + word]);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let head = id.x / WORDS;
    let word = id.x % WORDS;
    if (head >= HEADS) { return; }
    var sum = loaded(head, 0u, word);
    for (var chunk = 1u; chunk < step.kv_chunks; chunk++) {
        sum = folded(sum, loaded(head, chunk, word));
    }
    y[head * WORDS + word] = averaged(sum);
}
