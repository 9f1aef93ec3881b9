// What the exact kernels rely on, on one pair of numbers a thread: rounding, no contraction, elementary functions, fp16 by
// integers, the built-in fp16 unpacking of normal values, the integer dot. Eight words of bits a pair.
#include "lib/exact.wgsl"
#include "lib/half.wgsl"
#include "lib/dot4.wgsl"
@group(0) @binding(auto) var<storage, read> pairs: array<vec2<f32>>;
@group(0) @binding(auto) var<storage, read_write> results: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= COUNT) { return; }
    let a = pairs[id.x].x;
    let b = pairs[id.x].y;
    let at = id.x * 8u;
    results[at] = bitcast<u32>(mul(a, b) + a);
    results[at + 1u] = bitcast<u32>(sealed(a + b) - a);
    results[at + 2u] = bitcast<u32>(reciprocal(abs(a)));
    results[at + 3u] = bitcast<u32>(inverse_sqrt(abs(b)));
    results[at + 4u] = bitcast<u32>(exponential(a));
    results[at + 5u] = bitcast<u32>(logarithm(abs(b)));
    let halves = to_half(a) | (to_half(b) << 16u);
    let unpacked = unpack2x16float(halves);
    results[at + 6u] = bitcast<u32>(unpacked.x) ^ bitcast<u32>(from_half(halves >> 16u)) ^ u32(nearest(b));
    results[at + 7u] = u32(dot4(bitcast<u32>(a), bitcast<u32>(b)));
}
