// 23 random bits as a number in (0, 1): pcg3d of three counters (Jarzynski and Olano, JCGT 9(3), 2020). NumPy twin: ops/uniform.py.
#include "lib/exact.wgsl"

fn uniform_draw(id: u32, draw: u32, seed: u32) -> f32 {
    var v = vec3<u32>(id, draw, seed) * 1664525u + 1013904223u;
    v.x += v.y * v.z;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v ^= v >> vec3<u32>(16u);
    v.x += v.y * v.z;
    return mul(f32(v.x >> 9u) + 0.5, 1.1920928955078125e-7);
}
