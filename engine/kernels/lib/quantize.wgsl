// int8 absmax quantisation of a normed token. RMSNorm's factor is positive and the same for the whole token, so it cannot
// change a code: it goes into the scale alone, and codes need no second pass over the norm.
#include "lib/norm_lanes.wgsl"

const TOP_FLOOR: f32 = 1e-20;  // a token of zeros gets codes 0 and a harmless scale

// (what x w is multiplied by to give codes, what codes are multiplied by to give normed values)
fn code_scales(total: vec2<f32>) -> vec2<f32> {
    let top = max(total.y, TOP_FLOOR);
    return vec2<f32>(mul(127.0, reciprocal(top)), mul(mul(top, norm_factor(total.x)), INVERSE_127));
}

// Four codes as int8 in one word, and their sum.
fn codes(first: u32, quad: u32, scale: f32) -> vec2<u32> {
    if (quad >= QUADS) { return vec2<u32>(0u); }
    let v = mul4(mul4(x[first + quad], norm_weight[quad]), vec4<f32>(scale));
    let q = vec4<i32>(nearest(v.x), nearest(v.y), nearest(v.z), nearest(v.w));
    let b = vec4<u32>(q & vec4<i32>(255));
    return vec2<u32>(b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u), u32(q.x + q.y + q.z + q.w));
}
