// A chunk's values of a workgroup's queries, by their weights; and what chunks give together.
var<workgroup> run_weight: array<f32, QUERIES * 4u>;          // [query][position mod 4]

struct Partial {
    top: f32,           // largest score
    weight: f32,        // sum of e^(score - top)
    value: vec4<f32>,   // the same sum over values, for this thread's quad
}

fn sum_weights(count: u32, thread: u32) {
    for (var item = thread; item < QUERIES * 4u; item += WG) {
        var sum = 0.0;
        for (var four = 0u; four < (count + 3u) / 4u; four++) {
            sum = sealed(sum + score[item / 4u * PITCH + four][item % 4u]);
        }
        run_weight[item] = sum;
    }
}

fn stage_values(base: u32, start: u32, count: u32, thread: u32) {
    var word: array<vec2<u32>, TURNS>;
    #for t in TURNS
    word[t] = values[staged_row(base, start, count, t * WG + thread)];
    #end
    #for t in TURNS
    staged[t * WG + thread] = word[t];
    #end
}

// Adds the weighted values of the staged positions, which begin at `start`, to the sums: [query][position mod 4].
fn add_values(sums: ptr<function, Sums>, start: u32, count: u32, thread: u32) {
    let row = thread / QUADS * ITEMS * PITCH + start / 4u;
    for (var four = 0u; four < min(STAGED, count - start + 3u) / 4u; four++) {
        let at = four * 4u * QUADS + thread % QUADS;
        var value: array<vec4<f32>, ITEMS>;
        #for p in ITEMS
        value[p] = halves(staged[at + p * QUADS]);
        #end
        #for q in ITEMS
        {
            let weight = score[row + q * PITCH + four];
            #for p in ITEMS
            (*sums)[q * ITEMS + p] = sealed4((*sums)[q * ITEMS + p] + mul4(vec4<f32>(weight[p]), value[p]));
            #end
        }
        #end
    }
}

// All values of a chunk, by their weights.
fn sum_values(sums: ptr<function, Sums>, base: u32, count: u32, thread: u32) {
    for (var start = 0u; start < count; start += STAGED) {
        stage_values(base, start, count, thread);
        workgroupBarrier();
        if (start == 0u) { sum_weights(count, thread); }
        add_values(sums, start, count, thread);
        workgroupBarrier();
    }
}

fn partial_of(query: u32, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> Partial {
    let at = query * 4u;
    let weight = vec4<f32>(run_weight[at], run_weight[at + 1u], run_weight[at + 2u], run_weight[at + 3u]);
    return Partial(top_of(query), sum4(weight), sealed4(sealed4(a + b) + sealed4(c + d)));
}

// Adds a later chunk's partial to the running one, both brought to the larger maximum.
fn folded(a: Partial, b: Partial) -> Partial {
    let top = max(a.top, b.top);
    let from_a = exponential(a.top - top);
    let from_b = exponential(b.top - top);
    return Partial(top, sealed(mul(a.weight, from_a) + mul(b.weight, from_b)),
        sealed4(mul4(a.value, vec4<f32>(from_a)) + mul4(b.value, vec4<f32>(from_b))));
}
