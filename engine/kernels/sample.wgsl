// Draws a token from softmax(logits / temperature) cut to TOP_K tokens and to the mass TOP_P, and writes it where the next
// step embeds it. Exact: thresholds by radix selection over integer counts and masses, the draw by an exponential race.
#include "lib/exact.wgsl"
@group(0) @binding(auto) var<storage, read> logits: array<f32>;           // (V)
@group(0) @binding(auto) var<storage, read_write> tokens: array<u32>;     // (context)

#include "lib/best.wgsl"
#include "lib/uniform.wgsl"

var<workgroup> low: array<atomic<u32>, 256>;     // low 12 bits of masses, or counts
var<workgroup> high: array<atomic<u32>, 256>;    // the other bits
var<workgroup> chosen: vec2<u32>;                // (prefix of the threshold, amount still wanted)

// Order-preserving integer of a float.
fn key(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

// e^((logit - top) / temperature), 0 beyond e^-60.
fn likelihood(logit: f32, top: f32) -> f32 {
    let x = mul(sealed(logit - top), INVERSE_TEMPERATURE);
    if (x < -60.0) { return 0.0; }
    return exponential(x);
}

// Largest key T such that the tokens with keys >= max(T, floor) amount to `wanted`: tokens (by_mass false), or parts of
// their mass in 65536ths.
fn threshold(by_mass: bool, wanted: u32, least: u32, top: f32, thread: u32) -> u32 {
    if (thread == 0u) { chosen = vec2<u32>(0u, wanted); }
    for (var digit = 0u; digit < 4u; digit++) {
        let shift = 24u - digit * 8u;
        atomicStore(&low[thread], 0u);
        atomicStore(&high[thread], 0u);
        workgroupBarrier();
        let prefix = workgroupUniformLoad(&chosen).x;
        for (var id = thread; id < VOCAB; id += 256u) {
            let k = key(logits[id]);
            let same = digit == 0u || (k >> (shift + 8u)) == (prefix >> (shift + 8u));
            if (k < least || !same) { continue; }
            if (by_mass) {
                let mass = u32(mul(likelihood(logits[id], top), 16777216.0));
                atomicAdd(&low[(k >> shift) & 255u], mass & 0xFFFu);
                atomicAdd(&high[(k >> shift) & 255u], mass >> 12u);
            } else {
                atomicAdd(&high[(k >> shift) & 255u], 1u);
            }
        }
        workgroupBarrier();
        if (thread == 0u) { choose_digit(by_mass && digit == 0u, shift); }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&chosen).x;
}

fn amount(bin: u32) -> u32 {
    return atomicLoad(&high[bin]) + (atomicLoad(&low[bin]) >> 12u);
}

fn choose_digit(share: bool, shift: u32) {
    if (share) {                                                          // the first pass sees all mass: 65536ths of it
        var total = 0u;
        for (var bin = 0u; bin < 256u; bin++) { total += amount(bin); }
        chosen.y = (total >> 16u) * chosen.y + (((total & 0xFFFFu) * chosen.y) >> 16u);
    }
    var bin = 255u;
    while (bin > 0u && amount(bin) < chosen.y) {
        chosen.y -= amount(bin);
        bin--;
    }
    chosen.x |= bin << shift;
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
    var first = Best(-3.4e38, 0u);
    for (var id = thread; id < VOCAB; id += 256u) {
        if (logits[id] > first.value) { first = Best(logits[id], id); }
    }
    let top = best_of(first, thread).value;
    var least = 0u;
    if (TOP_K > 0u && TOP_K < VOCAB) { least = threshold(false, TOP_K, 0u, top, thread); }
    if (TOP_P < 65536u) { least = max(least, threshold(true, TOP_P, least, top, thread)); }
    var winner = Best(-1.0, 0u);
    for (var id = thread; id < VOCAB; id += 256u) {
        if (key(logits[id]) < least) { continue; }
        let rate = likelihood(logits[id], top);
        winner = better(winner, Best(mul(rate, reciprocal(-logarithm(uniform_draw(id, step.draw, SEED)))), id));
    }
    workgroupBarrier();
    let token = best_of(winner, thread);
    if (thread == 0u) { tokens[step.position + step.count] = token.id; }
}
