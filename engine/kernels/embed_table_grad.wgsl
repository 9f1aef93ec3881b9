// total (V, E) += at every row that has tokens the sum of their dx (M, E), one token after the other. Each place of the
// order has threads, but only those of a row's first token find work; the loads of UNROLLED tokens overlap.
#include "lib/step.wgsl"
@group(0) @binding(auto) var<storage, read> tokens: array<u32>;            // of all positions
@group(0) @binding(auto) var<storage, read> order: array<vec2<u32>>;       // of token_order.wgsl
@group(0) @binding(auto) var<storage, read> dx: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read_write> total: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quad = id.x;
    let place = id.y;
    if (quad >= QUADS || place >= step.count) { return; }
    if (place > 0u && order[place - 1u].y > 1u) { return; }                // the row began before this place
    let end = place + order[place].y;
    var sum = vec4<f32>(0.0);
    var at = place;
    for (; at + UNROLLED <= end; at += UNROLLED) {
        var part: array<vec4<f32>, UNROLLED>;
        #for i in UNROLLED
        part[i] = dx[order[at + i].x * QUADS + quad];
        #end
        #for i in UNROLLED
        sum = sealed4(sum + part[i]);
        #end
    }
    for (; at < end; at++) { sum = sealed4(sum + dx[order[at].x * QUADS + quad]); }
    let row = min(tokens[step.position + order[place].x], ROWS - 1u);
    total[row * QUADS + quad] = total[row * QUADS + quad] + sum;
}
