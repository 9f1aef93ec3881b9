// tokens[i] = text[position + i], for the step's tokens.
#include "lib/step.wgsl"
@group(0) @binding(auto) var<storage, read> text: array<u32>;
@group(0) @binding(auto) var<storage, read_write> tokens: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < step.count) { tokens[id.x] = text[step.position + id.x]; }
}
