// x = 0.
@group(0) @binding(auto) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    for (var i = 0u; i < 4u; i++) {
        let at = group.x * 1024u + i * 256u + thread;
        if (at < ELEMENTS) { x[at] = 0.0; }
    }
}
