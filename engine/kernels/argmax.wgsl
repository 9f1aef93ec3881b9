// The token with the largest logit (the lowest id among equals) is written where the next step embeds it.
#include "lib/step.wgsl"
@group(0) @binding(auto) var<storage, read> logits: array<f32>;           // (V)
@group(0) @binding(auto) var<storage, read_write> tokens: array<u32>;     // (context)

#include "lib/best.wgsl"

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) thread: u32) {
    var top = Best(-3.4e38, 0u);
    for (var first = thread; first < VOCAB; first += AHEAD * WG) {
        var loads: array<f32, AHEAD>;
        #for i in AHEAD
        loads[i] = logits[min(first + i * WG, VOCAB - 1u)];                // beyond the last it comes again, and loses to itself
        #end
        #for i in AHEAD
        if (loads[i] > top.value) { top = Best(loads[i], first + i * WG); }
        #end
    }
    let winner = best_of(top, thread);
    if (thread == 0u) { tokens[step.position + step.count] = winner.id; }
}
