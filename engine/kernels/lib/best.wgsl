// The largest value of 256 threads, the lowest id among equals: the same whatever the order.
struct Best {
    value: f32,
    id: u32,
}
var<workgroup> bests: array<Best, 256>;

fn better(a: Best, b: Best) -> Best {
    if (b.value > a.value || (b.value == a.value && b.id < a.id)) { return b; }
    return a;
}

fn best_of(mine: Best, thread: u32) -> Best {
    bests[thread] = mine;
    workgroupBarrier();
    if (thread < 16u) {
        var top = bests[thread];
        for (var i = thread + 16u; i < 256u; i += 16u) { top = better(top, bests[i]); }
        bests[thread] = top;
    }
    workgroupBarrier();
    var top = bests[0];
    for (var i = 1u; i < 16u; i++) { top = better(top, bests[i]); }
    return top;
}
