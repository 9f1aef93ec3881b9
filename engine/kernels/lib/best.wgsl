// The largest value of the WG threads of a workgroup, the lowest id among equals: the same whatever the order.
struct Best {
    value: f32,
    id: u32,
}
var<workgroup> bests: array<Best, WG>;

fn better(a: Best, b: Best) -> Best {
    if (b.value > a.value || (b.value == a.value && b.id < a.id)) { return b; }
    return a;
}

fn best_of(mine: Best, thread: u32) -> Best {
    bests[thread] = mine;
    workgroupBarrier();
    if (thread < 32u) {
        var top = bests[thread];
        for (var i = thread + 32u; i < WG; i += 32u) { top = better(top, bests[i]); }
        bests[thread] = top;
    }
    workgroupBarrier();
    var top = bests[0];
    for (var i = 1u; i < 32u; i++) { top = better(top, bests[i]); }
    return top;
}
