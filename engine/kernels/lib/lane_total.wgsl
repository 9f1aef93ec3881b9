// The total of 256 lanes' four sums: sixteen lanes in turn make a group, sixteen groups in turn the total. NumPy twin: lane_sums of
// ops/quantize_norm.py.
#include "lib/exact.wgsl"

var<workgroup> lanes: array<f32, 256>;
var<workgroup> lane_groups: array<f32, 16>;

fn lane_total(sum: vec4<f32>, thread: u32) -> f32 {
    lanes[thread] = sum4(sum);
    workgroupBarrier();
    if (thread < 16u) {
        var part = lanes[thread * 16u];
        for (var lane = 1u; lane < 16u; lane++) { part = sealed(part + lanes[thread * 16u + lane]); }
        lane_groups[thread] = part;
    }
    workgroupBarrier();
    var total = lane_groups[0];
    for (var group = 1u; group < 16u; group++) { total = sealed(total + lane_groups[group]); }
    return total;
}
