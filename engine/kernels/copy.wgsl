// copied (N) = original (N), 16 bytes a lane: the traffic of a kernel that does nothing else.
@group(0) @binding(auto) var<storage, read> original: array<vec4<u32>>;
@group(0) @binding(auto) var<storage, read_write> copied: array<vec4<u32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < arrayLength(&copied)) { copied[id.x] = original[id.x]; }
}
