// Rotary embedding of queries and keys, and the cache write: qkv (M, (H + 2 HKV) D) -> queries (M, H D) f32, keys and values
// as fp16 pairs [HKV][context][D / 2]. A thread owns two pairs of neighbours, D / 2 apart, of one head.
#include "lib/exact.wgsl"
#include "lib/half.wgsl"

@group(0) @binding(auto) var<storage, read> qkv: array<f32>;
#include "lib/rotary.wgsl"
@group(0) @binding(auto) var<storage, read_write> queries: array<f32>;
@group(0) @binding(auto) var<storage, read_write> keys: array<u32>;
@group(0) @binding(auto) var<storage, read_write> values: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let head = id.x / QUARTER;
    let w = id.x % QUARTER;
    let token = id.y;
    if (head >= HEADS + 2u * KV_HEADS || token >= step.count) { return; }
    let position = step.position + token;
    let at = (token * (HEADS + 2u * KV_HEADS) + head) * D + 2u * w;
    let raw = vec4<f32>(qkv[at], qkv[at + 1u], qkv[at + D / 2u], qkv[at + D / 2u + 1u]);
    if (head < HEADS) {
        let v = turned(raw, w, position);
        let to = (token * HEADS + head) * D + 2u * w;
        queries[to] = v.x;
        queries[to + 1u] = v.y;
        queries[to + D / 2u] = v.z;
        queries[to + D / 2u + 1u] = v.w;
    } else if (head < HEADS + KV_HEADS) {
        let v = turned(raw, w, position);
        let to = ((head - HEADS) * CONTEXT + position) * D / 2u + w;
        keys[to] = to_half(v.x) | (to_half(v.y) << 16u);
        keys[to + QUARTER] = to_half(v.z) | (to_half(v.w) << 16u);
    } else {
        let to = ((head - HEADS - KV_HEADS) * CONTEXT + position) * D / 2u + w;
        values[to] = to_half(raw.x) | (to_half(raw.y) << 16u);
        values[to + QUARTER] = to_half(raw.z) | (to_half(raw.w) << 16u);
    }
}
