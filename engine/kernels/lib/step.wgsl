// The step row, the only thing that changes from step to step; columns as engine/steps.py lists them.
struct Step {
    zero: u32,        // always 0, but no compiler knows it: see sealed()
    position: u32,    // position of the chunk's first token
    count: u32,       // tokens in this chunk
    kv_chunks: u32,   // chunks of 128 positions that the last token attends to
    draw: u32,        // counter of the step's random draws
    share: f32,       // training: what a token's loss counts, 1 / supervised tokens of the optimiser step
    rate: f32,        // AdamW: learning rate
    keep: f32,        // AdamW: what decay leaves of a weight, 1 - rate * decay
    unbias1: f32,     // AdamW: 1 / (1 - beta^t) of both moments
    unbias2: f32,
}
@group(0) @binding(0) var<uniform> step: Step;

// x, through a barrier that compilers cannot see through: no sum across it is reassociated.
fn sealed(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ step.zero);
}

fn sealed4(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) ^ vec4<u32>(step.zero));
}

// a b, through a barrier of its own: no compiler fuses it into an addition. Where a sum begins, a compiler may drop 0 + x and meet both
// barriers at once; of one and the same zero they would cancel, and a product would be free again (an NVIDIA driver does so).
fn mul(a: f32, b: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(a * b) ^ (step.zero & step.count));
}

fn mul4(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(a * b) ^ vec4<u32>(step.zero & step.count));
}
