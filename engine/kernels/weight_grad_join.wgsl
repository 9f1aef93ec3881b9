// Parts of the sums of weight_grad.wgsl, added up, and the limbs of x joined by Horner's rule to the base 256.
#include "lib/exact.wgsl"
@group(0) @binding(auto) var<storage, read> parts: array<vec4<i32>>;      // [limb of x][slice][limb][N][K / 4]
#include "lib/weight_total.wgsl"

const SIZE: u32 = N * COLUMN_QUADS;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let quad = group.x * 64u + thread;
    if (quad >= COLUMN_QUADS) { return; }
    let at = group.y * COLUMN_QUADS + quad;
    var value = vec4<f32>(0.0);
    for (var limb = 0u; limb < X_LIMBS; limb++) {
        var high = vec4<i32>(0);
        var middle = vec4<i32>(0);
        var low = vec4<i32>(0);
        for (var slice = limb * SLICES; slice < (limb + 1u) * SLICES; slice++) {
            high += parts[slice * 3u * SIZE + at];
            middle += parts[(slice * 3u + 1u) * SIZE + at];
            low += parts[(slice * 3u + 2u) * SIZE + at];
        }
        value = sealed4(value * 256.0 + rounded(high, middle, low));
    }
    store(group.y, quad, value);
}
