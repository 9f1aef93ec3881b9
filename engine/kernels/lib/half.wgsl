// fp16 <-> f32 by integer arithmetic where the built-ins may flush or round as they like.

// fp16 bits to f32, subnormals included, exactly: those are what a number of their mantissa exceeds 2^-14 by.
fn from_half(h: u32) -> f32 {
    let magnitude = h & 0x7FFFu;
    let bits = magnitude << 13u;
    let small = bitcast<f32>(bits + 0x38800000u) - 6.103515625e-5;
    let value = select(bitcast<f32>(bits + 0x38000000u), small, magnitude < 0x400u);
    return bitcast<f32>(bitcast<u32>(value) | ((h & 0x8000u) << 16u));
}

// f32 to fp16 bits, nearest even; values below the smallest normal fp16 become zero, values beyond the largest stay there.
fn to_half(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let magnitude = min(bits & 0x7FFFFFFFu, 0x477FE000u);
    let rounded = (magnitude - 0x38000000u + 0x0FFFu + ((magnitude >> 13u) & 1u)) >> 13u;
    return select(rounded, 0u, magnitude < 0x38800000u) | ((bits >> 16u) & 0x8000u);
}
