// From exact sums of limbs to a gradient of weights.
@group(0) @binding(auto) var<storage, read> column_scale: array<f32>;     // of dy's columns, the rows of the weights
@group(0) @binding(auto) var<storage, read_write> y: array<vec4<f32>>;    // (N, K)

// high 2^16 + middle 2^8 + low, rounded once: carries first, then two numbers that f32 holds exactly. Sums themselves have too many bits,
// and how a conversion rounds is the device's choice.
fn rounded(high: vec4<i32>, middle: vec4<i32>, low: vec4<i32>) -> vec4<f32> {
    let second = middle + (low >> vec4<u32>(8u));
    let first = high + (second >> vec4<u32>(8u));
    let digits = ((first & vec4<i32>(255)) << vec4<u32>(16u)) | ((second & vec4<i32>(255)) << vec4<u32>(8u)) | (low & vec4<i32>(255));
    return sealed4(vec4<f32>(first >> vec4<u32>(8u)) * 16777216.0 + vec4<f32>(digits));
}

fn store(row: u32, quad: u32, value: vec4<f32>) {
    let at = row * COLUMN_QUADS + quad;
    let result = mul4(value, vec4<f32>(column_scale[row]));
#if ADDS
    y[at] = y[at] + result;
#else
    y[at] = result;
#endif
}
