// history[draw] = share * sum of the step's losses; one workgroup.
#include "lib/lane_sum.wgsl"
@group(0) @binding(auto) var<storage, read> losses: array<f32>;           // (M)
@group(0) @binding(auto) var<storage, read_write> history: array<f32>;    // (STEPS)

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) thread: u32) {
    begin(thread);
    for (var lane = thread; lane < LANES; lane += WG) {
        var sum = 0.0;
        for (var token = lane; token < min(step.count, M); token += LANES) {
            note(losses[token]);
            sum = sealed(sum + losses[token]);
        }
        lane_sum[lane] = sum;
    }
    let sum = joined_lanes(thread);
    if (thread != 0u || step.draw >= STEPS) { return; }
    if (atomicLoad(&unsound) != 0u) {
        history[step.draw] = no_number();
    } else {
        history[step.draw] = mul(sum, step.share);
    }
}
