// Losses (M) of logits (M, V), which become the gradient (softmax - one at the label) * share; a token a workgroup.
#include "lib/lane_sum.wgsl"
@group(0) @binding(auto) var<storage, read> labels: array<u32>;           // of all positions
@group(0) @binding(auto) var<storage, read_write> logits: array<f32>;     // (M, V)
@group(0) @binding(auto) var<storage, read_write> losses: array<f32>;     // (M)

const UNSUPERVISED: u32 = 0xFFFFFFFFu;
const LOWEST: f32 = -0x1.fffffep+127;

// The largest logit of the token, in any order.
fn top_of(first: u32, thread: u32) -> f32 {
    var top = LOWEST;
    for (var id = thread; id < VOCAB; id += WG) {
        note(logits[first + id]);
        top = max(top, logits[first + id]);
    }
    lane_sum[thread] = top;
    workgroupBarrier();
    if (thread < 16u) {
        for (var i = thread + 16u; i < WG; i += 16u) { top = max(top, lane_sum[i]); }
        group_sum[thread] = top;
    }
    workgroupBarrier();
    for (var i = 0u; i < 16u; i++) { top = max(top, group_sum[i]); }
    workgroupBarrier();                                                   // before group_sum and lane_sum are written again
    return top;
}

// e^x, 0 beyond e^-60.
fn likelihood(x: f32) -> f32 {
    if (x < -60.0) { return 0.0; }
    return exponential(x);
}

fn gradient(x: f32, inverse: f32, own: bool) -> f32 {
    var p = mul(likelihood(x), inverse);
    if (p < LEAST) { p = 0.0; }                                           // so that no product with it is denormal
    return mul(sealed(p - select(0.0, 1.0, own)), step.share);
}

fn fill(first: u32, thread: u32, value: f32) {
    for (var id = thread; id < VOCAB; id += WG) { logits[first + id] = value; }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = group.x;
    if (token >= step.count) { return; }
    let first = token * VOCAB;
    let label = labels[step.position + token];
    if (label == UNSUPERVISED) {
        fill(first, thread, 0.0);
        if (thread == 0u) { losses[token] = 0.0; }
        return;
    }
    begin(thread);
    let top = top_of(first, thread);
    for (var lane = thread; lane < LANES; lane += WG) {
        var sum = 0.0;
        for (var id = lane; id < VOCAB; id += LANES) { sum = sealed(sum + likelihood(sealed(logits[first + id] - top))); }
        lane_sum[lane] = sum;
    }
    let sum = joined_lanes(thread);
    if (atomicLoad(&unsound) != 0u || label >= VOCAB) {
        fill(first, thread, no_number());
        if (thread == 0u) { losses[token] = no_number(); }
        return;
    }
    let inverse = reciprocal(sum);
    for (var id = thread; id < VOCAB; id += WG) {
        let x = sealed(logits[first + id] - top);
        if (id == label) { losses[token] = sealed(logarithm(sum) - x); }
        logits[first + id] = gradient(x, inverse, id == label);
    }
}
