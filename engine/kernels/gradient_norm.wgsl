// (norm, what clipping multiplies gradients by) from sums of squares; factor 0 where the norm is not finite.
@group(0) @binding(auto) var<storage, read> sums: array<f32>;
@group(0) @binding(auto) var<storage, read_write> norm_log: array<f32>;
@group(0) @binding(auto) var<storage, read_write> norm: array<f32>;

#include "lib/lane_total.wgsl"

fn part(at: u32) -> f32 {
    if (at >= PARTS) { return 0.0; }
    return sums[at];
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
    var sum = vec4<f32>(0.0);
    for (var at = thread * 4u; at < PARTS; at += 1024u) {
        sum = sealed4(sum + vec4<f32>(part(at), part(at + 1u), part(at + 2u), part(at + 3u)));
    }
    let total = lane_total(sum, thread);
    if (thread != 0u) { return; }
    let finite = (bitcast<u32>(total) & 0x7F800000u) != 0x7F800000u;       // integer test: no compiler may assume it away
    var root = total;
    if (finite && total >= 1e-30) { root = mul(total, inverse_sqrt(total)); }
    var factor = select(0.0, 1.0, finite);
    if (finite && root > MOST) { factor = mul(MOST, reciprocal(root)); }
    norm_log[step.draw] = root;
    norm[0] = root;
    norm[1] = factor;
}
