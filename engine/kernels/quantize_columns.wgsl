// dy (M, N), rows times act_scale (M), as codes of three limbs that share a scale along each column: words [limb][M / 4][PITCH], a byte
// a token, and scale (PITCH). What lies beyond the step's tokens in a word, or beyond the columns, is 0.
#include "lib/exact.wgsl"
#include "lib/column_top.wgsl"
@group(0) @binding(auto) var<storage, read> dy: array<f32>;
@group(0) @binding(auto) var<storage, read> act_scale: array<f32>;
@group(0) @binding(auto) var<storage, read> tops: array<f32>;             // [run][N]
@group(0) @binding(auto) var<storage, read_write> words: array<u32>;
@group(0) @binding(auto) var<storage, read_write> column_scale: array<f32>;

const TOP_FLOOR: f32 = 1e-20;  // as in quantize.wgsl

fn value(token: u32, column: u32) -> f32 {
    if (token >= step.count || column >= N) { return 0.0; }
    return mul(dy[token * N + column], act_scale[token]);
}

fn largest(column: u32, thread: u32) -> f32 {
    let runs = select(0u, (step.count + RUN - 1u) / RUN, column < N);
    var top = TOP_FLOOR;
    for (var run = thread / 32u; run < runs; run += 8u) { top = max(top, tops[run * N + column]); }
    return column_top(top, thread);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = group.x * 32u + thread % 32u;
    let first = group.y * (RUN / 4u);
    let end = min(first + RUN / 4u, (step.count + 3u) / 4u);
    if (first >= end) { return; }
    let top = largest(column, thread);
    let scale = mul(LARGEST_CODE, reciprocal(top));
    for (var quad = first + thread / 32u; quad < end; quad += 8u) {
        var rest = vec4<i32>(
            nearest(mul(value(4u * quad, column), scale)), nearest(mul(value(4u * quad + 1u, column), scale)),
            nearest(mul(value(4u * quad + 2u, column), scale)), nearest(mul(value(4u * quad + 3u, column), scale)));
        for (var i = 0u; i < LIMBS; i++) {
            let digit = ((rest + vec4<i32>(128)) & vec4<i32>(255)) - vec4<i32>(128);
            rest = (rest - digit) >> vec4<u32>(8u);
            let b = vec4<u32>(digit & vec4<i32>(255));
            words[((LIMBS - 1u - i) * QUADS + quad) * PITCH + column] = b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
        }
    }
    if (first == 0u && thread < 32u) { column_scale[column] = mul(top, INVERSE_CODE); }
}
