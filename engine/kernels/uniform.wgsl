// x = numbers uniform in (-BOUND, BOUND), one stream a SEED.
#include "lib/uniform.wgsl"
@group(0) @binding(auto) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = (group.y * WIDTH + group.x) * CHUNK;
    for (var at = first + thread; at < min(first + CHUNK, ELEMENTS); at += 256u) {
        x[at] = mul(sealed(mul(uniform_draw(at, 0u, SEED), 2.0) - 1.0), BOUND);
    }
}
