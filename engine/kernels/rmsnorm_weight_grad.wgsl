// dw (K) [+]= the sums (blocks, K) of the step's blocks of BLOCK tokens, in order; a thread a column.
#include "lib/exact.wgsl"
@group(0) @binding(auto) var<storage, read> sums: array<f32>;
@group(0) @binding(auto) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= K) { return; }
    var total = 0.0;
    for (var first = 0u; first < step.count; first += BLOCK) { total = sealed(total + sums[first / BLOCK * K + id.x]); }
#if ADDS
    dw[id.x] = dw[id.x] + total;
#else
    dw[id.x] = total;
#endif
}
