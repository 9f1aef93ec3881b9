// The token with the largest logit (the lowest id among equals) is written where the next step embeds it.
#include "lib/step.wgsl"
@group(0) @binding(auto) var<storage, read> logits: array<f32>;           // (V)
@group(0) @binding(auto) var<storage, read_write> tokens: array<u32>;     // (context)

#include "lib/best.wgsl"

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
    var top = Best(-3.4e38, 0u);
    for (var id = thread; id < VOCAB; id += 256u) {
        if (logits[id] > top.value) { top = Best(logits[id], id); }
    }
    let winner = best_of(top, thread);
    if (thread == 0u) { tokens[step.position + step.count] = winner.id; }
}
