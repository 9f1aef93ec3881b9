// y += x; a workgroup does CHUNK elements, and WIDTH workgroups a row of the grid.
@group(0) @binding(auto) var<storage, read> x: array<f32>;
@group(0) @binding(auto) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = (group.y * WIDTH + group.x) * CHUNK;
    for (var at = first + thread; at < min(first + CHUNK, ELEMENTS); at += 256u) { y[at] = y[at] + x[at]; }
}
