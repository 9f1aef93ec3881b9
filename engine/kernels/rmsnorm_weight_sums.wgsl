// sums (blocks, K): over each BLOCK tokens, x (M, K) times factor times dy (M, K). A workgroup does COLUMNS columns of a
// block; a thread does every fourth token of a column, UNROLLED of them with overlapping loads.
#include "lib/exact.wgsl"
@group(0) @binding(auto) var<storage, read> x: array<f32>;
@group(0) @binding(auto) var<storage, read> dy: array<f32>;
@group(0) @binding(auto) var<storage, read> factors: array<f32>;
@group(0) @binding(auto) var<storage, read_write> sums: array<f32>;

var<workgroup> quarters: array<f32, 4 * COLUMNS>;                         // [token mod 4][column]

fn term(token: u32, column: u32) -> f32 {
    let at = token * K + column;
    return mul(mul(x[at], factors[token]), dy[at]);
}

fn quarter(first: u32, end: u32, column: u32) -> f32 {
    var sum = 0.0;
    var token = first;
    for (; token + 4u * (UNROLLED - 1u) < end; token += 4u * UNROLLED) {
        var terms: array<f32, UNROLLED>;
        #for i in UNROLLED
        terms[i] = term(token + 4u * i, column);
        #end
        #for i in UNROLLED
        sum = sealed(sum + terms[i]);
        #end
    }
    for (; token < end; token += 4u) { sum = sealed(sum + term(token, column)); }
    return sum;
}

@compute @workgroup_size(4 * COLUMNS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = group.y * BLOCK;
    if (first >= step.count) { return; }
    let own = thread % COLUMNS;
    let column = group.x * COLUMNS + own;
    quarters[thread] = quarter(first + thread / COLUMNS, min(first + BLOCK, step.count), min(column, K - 1u));
    workgroupBarrier();
    if (thread >= COLUMNS || column >= K) { return; }
    sums[group.y * K + column] = sum4(
        vec4<f32>(quarters[own], quarters[own + COLUMNS], quarters[own + 2u * COLUMNS], quarters[own + 3u * COLUMNS]));
}
