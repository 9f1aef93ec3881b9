// Sum of squares and largest |x w| of one token's K values, in an order that no workgroup size changes: lane L of 256 adds
// the quads L, L + 256, ..., sixteen lanes in turn make a group, sixteen groups in turn the total. NumPy twin: ops/quantize_norm.py.
#include "lib/exact.wgsl"

const NORM_LANES: u32 = 256u;
var<workgroup> lane_sum: array<f32, 256>;
var<workgroup> lane_top: array<f32, 256>;
var<workgroup> group_sum: array<f32, 16>;
var<workgroup> group_top: array<f32, 16>;

// (sum of squares, max |x w|) of x[first .. first + K] in quads; every thread of the workgroup (WG threads) must call it.
fn norm_lanes(first: u32, thread: u32) -> vec2<f32> {
    for (var lane = thread; lane < NORM_LANES; lane += WG) {
        var sum = vec4<f32>(0.0);
        var top = vec4<f32>(0.0);
        for (var quad = lane; quad < QUADS; quad += NORM_LANES) {
            let value = x[first + quad];
            sum = sealed4(sum + mul4(value, value));
            top = max(top, abs(mul4(value, norm_weight[quad])));
        }
        lane_sum[lane] = sum4(sum);
        lane_top[lane] = max(max(top.x, top.y), max(top.z, top.w));
    }
    workgroupBarrier();
    for (var group = thread; group < 16u; group += WG) {
        var sum = lane_sum[group * 16u];
        var top = lane_top[group * 16u];
        for (var lane = 1u; lane < 16u; lane++) {
            sum = sealed(sum + lane_sum[group * 16u + lane]);
            top = max(top, lane_top[group * 16u + lane]);
        }
        group_sum[group] = sum;
        group_top[group] = top;
    }
    workgroupBarrier();
    var sum = group_sum[0];
    var top = group_top[0];
    for (var group = 1u; group < 16u; group++) {
        sum = sealed(sum + group_sum[group]);
        top = max(top, group_top[group]);
    }
    return vec2<f32>(sum, top);
}

// 1/sqrt(mean square + eps): what RMSNorm multiplies by.
fn norm_factor(square_sum: f32) -> f32 {
    return inverse_sqrt(sealed(mul(square_sum, INVERSE_K) + EPS));
}
