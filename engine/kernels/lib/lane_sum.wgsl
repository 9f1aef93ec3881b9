// Sums in an order that no workgroup size changes: lane L of 256 adds the elements L, L + 256, ..., sixteen lanes in turn
// make a group, sixteen groups in turn the total. NumPy twin: ops/cross_entropy.py.
#include "lib/exact.wgsl"

const LANES: u32 = 256u;
var<workgroup> lane_sum: array<f32, 256>;
var<workgroup> group_sum: array<f32, 16>;
var<workgroup> unsound: atomic<u32>;             // whether any thread has met what is no number

// Every thread of the workgroup must call it first: not every driver clears workgroup memory.
fn begin(thread: u32) {
    if (thread == 0u) { atomicStore(&unsound, 0u); }
    workgroupBarrier();
}

// The total of lane_sum; every thread of the workgroup (WG threads) must call it.
fn joined_lanes(thread: u32) -> f32 {
    workgroupBarrier();
    for (var group = thread; group < 16u; group += WG) {
        var sum = lane_sum[group * 16u];
        for (var lane = 1u; lane < 16u; lane++) { sum = sealed(sum + lane_sum[group * 16u + lane]); }
        group_sum[group] = sum;
    }
    workgroupBarrier();
    var total = group_sum[0];
    for (var group = 1u; group < 16u; group++) { total = sealed(total + group_sum[group]); }
    return total;
}

// Notes NaN and infinities by their bits: no comparison of floats is sure to show them.
fn note(x: f32) {
    if ((bitcast<u32>(x) & 0x7F800000u) == 0x7F800000u) { atomicStore(&unsound, 1u); }
}

// NaN, always with the same bits.
fn no_number() -> f32 {
    return bitcast<f32>(0x7FC00000u ^ step.zero);
}
