// Latent weights (ROWS, COLS) -> TQ2_0 words [tile][block][load][32 rows][2 words] of trits round(w / s), and s of each row, where s is
// the mean magnitude of all. A workgroup makes the words of a block of a tile; each adds the sums up again, which costs less than a launch.
@group(0) @binding(auto) var<storage, read> latent: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read> sums: array<f32>;             // of magnitudes, a chunk each
@group(0) @binding(auto) var<storage, read_write> words: array<u32>;
@group(0) @binding(auto) var<storage, read_write> scales: array<f32>;

#include "lib/lane_total.wgsl"
#include "lib/unpack_tq2_0.wgsl"

fn chunk_sum(at: u32) -> f32 {
    if (at >= CHUNKS) { return 0.0; }
    return sums[at];
}

fn mean_magnitude(thread: u32) -> f32 {
    var sum = vec4<f32>(0.0);
    for (var at = thread * 4u; at < CHUNKS; at += 1024u) {
        sum = sealed4(sum + vec4<f32>(chunk_sum(at), chunk_sum(at + 1u), chunk_sum(at + 2u), chunk_sum(at + 3u)));
    }
    return max(mul(lane_total(sum, thread), INVERSE_ELEMENTS), LEAST_SCALE);
}

// Four neighbours' codes, trit + 1, a byte each; padding is trits of 0.
fn codes(row: u32, quad: u32, inverse: f32) -> u32 {
    if (row >= ROWS || quad >= QUADS) { return 0x01010101u; }
    let ratio = clamp(mul4(latent[row * QUADS + quad], vec4<f32>(inverse)), vec4<f32>(-1.0), vec4<f32>(1.0));
    let trits = vec4<i32>(nearest(ratio.x), nearest(ratio.y), nearest(ratio.z), nearest(ratio.w));
    let code = vec4<u32>(trits + vec4<i32>(1));
    return code.x | (code.y << 8u) | (code.z << 16u) | (code.w << 24u);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let block = group.x;
    let tile = group.y;
    let scale = mean_magnitude(thread);
    let inverse = reciprocal(scale);
    for (var item = thread; item < 512u; item += 256u) {                  // word of a row, then row: reads are neighbours
        let word = item % 16u;
        let row = item / 16u;
        var packed = 0u;
        for (var l = 0u; l < 4u; l++) {
            packed |= codes(tile * 32u + row, block * 64u + quad_at(word, l), inverse) << (2u * l);
        }
        words[((tile * BLOCKS + block) * 8u + word / 2u) * 64u + row * 2u + word % 2u] = packed;
    }
    if (block == 0u && thread < 32u) { scales[tile * 32u + thread] = select(0.0, scale, tile * 32u + thread < ROWS); }
}
