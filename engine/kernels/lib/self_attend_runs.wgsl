// Sums over positions in four interleaved runs: thread (lane, quad) of the first D walks every fourth one in order.
var<workgroup> part: array<vec4<f32>, D>;                                 // (run, quad)

// Which run of a sum that begins at position `first` a lane walks that begins at position `start`.
fn run_of(start: u32, first: u32) -> u32 {
    return (start - first) & 3u;
}

// Sum of the four runs, for threads below QUADS: of their quad. All threads of the workgroup must call it.
fn joined(thread: u32, run: u32, mine: vec4<f32>) -> vec4<f32> {
    workgroupBarrier();
    if (thread < D) { part[run * QUADS + thread % QUADS] = mine; }
    workgroupBarrier();
    let quad = min(thread, QUADS - 1u);
    let even = sealed4(part[quad] + part[QUADS + quad]);
    return sealed4(even + sealed4(part[2u * QUADS + quad] + part[3u * QUADS + quad]));
}
