// Absmax quantisation of each token, a workgroup each: x (M, COLS) [times a factor a column] -> codes
// [variant][limb][M / 8][columns / 4][8 tokens], scale [variant][M], sum of codes [variant][limb][M]. With three limbs a code is a number of
// three digits to the base 256, from -128 to 127 each, highest first.
#include "lib/exact.wgsl"
@group(0) @binding(auto) var<storage, read> x: array<f32>;
#if FACTORS
@group(0) @binding(auto) var<storage, read> factors: array<f32>;         // (columns), or [tile][variant][32 columns]
#endif
@group(0) @binding(auto) var<storage, read_write> q: array<u32>;
@group(0) @binding(auto) var<storage, read_write> act_scale: array<f32>;
@group(0) @binding(auto) var<storage, read_write> act_sum: array<i32>;

const WG: u32 = 256u;
const TOP_FLOOR: f32 = 1e-20;  // a token of zeros gets codes 0 and a harmless scale; smaller values fade instead of becoming denormal

var<workgroup> lane_top: array<f32, WG>;
var<workgroup> code_sum: array<atomic<i32>, LIMBS>;

fn value(token: u32, col: u32, variant: u32) -> f32 {
    if (col >= COLS) { return 0.0; }
#if FACTORS
    return mul(x[token * COLS + col], factors[(col / 32u * VARIANTS + variant) * 32u + col % 32u]);
#else
    return x[token * COLS + col];
#endif
}

fn largest(token: u32, variant: u32, thread: u32) -> f32 {
    var top = TOP_FLOOR;
    for (var col = thread; col < COLS; col += WG) { top = max(top, abs(value(token, col, variant))); }
    lane_top[thread] = top;
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) { lane_top[thread] = max(lane_top[thread], lane_top[thread + half]); }
    }
    workgroupBarrier();
    return lane_top[0];
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = group.x;
    let variant = group.y;
    if (token >= step.count) { return; }
    if (thread < LIMBS) { atomicStore(&code_sum[thread], 0); }
    let top = largest(token, variant, thread);
    let scale = mul(LARGEST_CODE, reciprocal(top));
    for (var quad = thread; quad < PADDED_QUADS; quad += WG) {
        var rest = vec4<i32>(
            nearest(mul(value(token, 4u * quad, variant), scale)), nearest(mul(value(token, 4u * quad + 1u, variant), scale)),
            nearest(mul(value(token, 4u * quad + 2u, variant), scale)), nearest(mul(value(token, 4u * quad + 3u, variant), scale)));
        for (var i = 0u; i < LIMBS; i++) {
            let limb = LIMBS - 1u - i;
            let digit = ((rest + vec4<i32>(128)) & vec4<i32>(255)) - vec4<i32>(128);
            rest = (rest - digit) >> vec4<u32>(8u);
            let b = vec4<u32>(digit & vec4<i32>(255));
            q[(((variant * LIMBS + limb) * GROUPS + token / 8u) * PADDED_QUADS + quad) * 8u + token % 8u] =
                b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
            atomicAdd(&code_sum[limb], digit.x + digit.y + digit.z + digit.w);
        }
    }
    workgroupBarrier();
    if (thread == 0u) { act_scale[variant * TOKENS + token] = mul(top, INVERSE_CODE); }
    if (thread < LIMBS) { act_sum[(variant * LIMBS + thread) * GROUPS * 8u + token] = atomicLoad(&code_sum[thread]); }
}
