// The step row, the only thing that changes from step to step; columns as engine/steps.py lists them.
struct Step {
    zero: u32,        // always 0, but no compiler knows it: see sealed()
    position: u32,    // position of the chunk's first token
    count: u32,       // tokens in this chunk
    kv_chunks: u32,   // chunks of 128 positions that the last token attends to
    draw: u32,        // counter of the sampler's random stream
}
@group(0) @binding(0) var<uniform> step: Step;

// x, through a barrier that compilers cannot see through: a product that passes it is never fused into a multiply-add,
// and no sum across it is reassociated.
fn sealed(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ step.zero);
}

fn sealed4(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) ^ vec4<u32>(step.zero));
}
