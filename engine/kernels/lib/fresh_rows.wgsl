// The step's own query, key and value of a head: rotated, key and value rounded to fp16, written to the cache by one workgroup alone.
var<workgroup> query: array<vec2<f32>, WORDS>;
var<workgroup> fresh_key: array<u32, WORDS>;
var<workgroup> fresh_value: array<u32, WORDS>;

fn raw(head: u32, w: u32) -> vec4<f32> {
    let at = head * D + 2u * w;
    return vec4<f32>(qkv[at], qkv[at + 1u], qkv[at + D / 2u], qkv[at + D / 2u + 1u]);
}

fn halves(v: vec4<f32>) -> vec2<u32> {
    return vec2<u32>(to_half(v.x) | (to_half(v.y) << 16u), to_half(v.z) | (to_half(v.w) << 16u));
}

// Rotates query and key and rounds key and value to fp16, a thread two pairs of neighbours.
fn put_fresh(head: u32, thread: u32) {
    let kv_head = head / SHARED;
    for (var item = thread; item < 3u * QUARTER; item += WG) {
        let w = item % QUARTER;
        if (item < QUARTER) {
            let v = turned(raw(head, w), w, step.position);
            query[w] = v.xy;
            query[w + QUARTER] = v.zw;
        } else if (item < 2u * QUARTER) {
            let words = halves(turned(raw(HEADS + kv_head, w), w, step.position));
            fresh_key[w] = words.x;
            fresh_key[w + QUARTER] = words.y;
        } else {
            let words = halves(raw(HEADS + KV_HEADS + kv_head, w));
            fresh_value[w] = words.x;
            fresh_value[w + QUARTER] = words.y;
        }
    }
}

fn fresh_words(i: u32) -> vec4<u32> {
    return vec4<u32>(fresh_key[4u * i], fresh_key[4u * i + 1u], fresh_key[4u * i + 2u], fresh_key[4u * i + 3u]);
}

fn query_quad(i: u32) -> vec4<f32> {
    return vec4<f32>(query[2u * i], query[2u * i + 1u]);
}

fn store_fresh(kv_head: u32, thread: u32) {
    let row = kv_head * CONTEXT + step.position;
    for (var i = thread; i < D / 8u; i += WG) { keys[row * (D / 8u) + i] = fresh_words(i); }
    for (var i = thread; i < WORDS; i += WG) { values[row * WORDS + i] = fresh_value[i]; }
}
