// Attention of one token to SPAN chunks of 128 positions, 128 threads each. NumPy twin: ops/attend.py.
var<workgroup> score: array<f32, WG>;
var<workgroup> part_top: array<f32, SPAN * 16u>;
var<workgroup> chunk_top: array<f32, SPAN>;
var<workgroup> run_weight: array<f32, SPAN * 4u>;                 // sums of e^(score - top), by position mod 4
var<workgroup> run_value: array<vec2<f32>, SPAN * 4u * WORDS>;    // the same sums over values

// The query's product with the key at `at` in the cache, or with the fresh one.
fn scored(at: u32, is_fresh: bool) -> f32 {
    var sum = vec4<f32>(0.0);
    for (var first = 0u; first < D / 8u; first += KEY_LOADS) {
        var loads: array<vec4<u32>, KEY_LOADS>;
        #for i in KEY_LOADS
        loads[i] = keys[at + first + i];
        #end
        #for i in KEY_LOADS
        {
            let words = select(loads[i], fresh_words(first + i), is_fresh);
            let low = vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
            let high = vec4<f32>(unpack2x16float(words.z), unpack2x16float(words.w));
            sum = sealed4(sum + mul4(query_quad(2u * (first + i)), low));
            sum = sealed4(sum + mul4(query_quad(2u * (first + i) + 1u), high));
        }
        #end
    }
    return mul(sum4(sum), SCALE);
}

// The scores of a chunk's `count` positions and their maximum; beyond them nothing has weight.
fn put_scores(kv_head: u32, chunk: u32, count: u32, local: u32, lane: u32) {
    let position = chunk * CHUNK + lane;
    var mine = -3.4e38;
    if (lane < count) {
        mine = scored((kv_head * CONTEXT + position) * (D / 8u), position == step.position);
    }
    score[local * CHUNK + lane] = mine;
    workgroupBarrier();
    if (lane < 16u) {
        var top = score[local * CHUNK + lane];
        #for i in PART_SCORES
        top = max(top, score[local * CHUNK + lane + 16u * i]);
        #end
        part_top[local * 16u + lane] = top;
    }
    workgroupBarrier();
    var top = part_top[local * 16u];
    for (var i = 1u; i < 16u; i++) { top = max(top, part_top[local * 16u + i]); }
    if (lane == 0u) { chunk_top[local] = top; }
    let shifted = sealed(mine - top);
    score[local * CHUNK + lane] = select(0.0, exponential(shifted), lane < count && shifted >= -60.0);
    workgroupBarrier();
}

// Sums of weights and weighted values: a thread a word of the head and every fourth position, in order. The fresh one is the last.
fn put_runs(kv_head: u32, chunk: u32, count: u32, local: u32, lane: u32) {
    let fresh = step.position - chunk * CHUNK;                             // beyond the chunk where it is in another
    for (var item = lane; item < 4u * WORDS; item += CHUNK) {
        let word = item % WORDS;
        let run = item / WORDS;
        var loads: array<u32, 32>;
        let base = kv_head * CONTEXT;
        #for k in RUN
        loads[k] = values[(base + min(chunk * CHUNK + 4u * k + run, CONTEXT - 1u)) * WORDS + word];
        #end
        var sum = vec2<f32>(0.0);
        var weight = 0.0;
        #for k in RUN
        {
            let position = 4u * k + run;
            let w = select(score[local * CHUNK + position], 0.0, position == fresh);
            let v = unpack2x16float(loads[k]);
            sum = vec2<f32>(sealed(sum.x + mul(w, v.x)), sealed(sum.y + mul(w, v.y)));
            weight = sealed(weight + w);
        }
        #end
        if (fresh < CHUNK && fresh % 4u == run) {
            let w = score[local * CHUNK + fresh];
            let v = unpack2x16float(fresh_value[word]);
            sum = vec2<f32>(sealed(sum.x + mul(w, v.x)), sealed(sum.y + mul(w, v.y)));
            weight = sealed(weight + w);
        }
        run_value[(local * 4u + run) * WORDS + word] = sum;
        if (word == 0u) { run_weight[local * 4u + run] = weight; }
    }
    workgroupBarrier();
}

// What a chunk's four runs of positions are together.
fn partial_of(local: u32, word: u32) -> Partial {
    let w = vec4<f32>(run_weight[local * 4u], run_weight[local * 4u + 1u], run_weight[local * 4u + 2u], run_weight[local * 4u + 3u]);
    let at = local * 4u * WORDS + word;
    let a = run_value[at];
    let b = run_value[at + WORDS];
    let c = run_value[at + 2u * WORDS];
    let d = run_value[at + 3u * WORDS];
    return Partial(chunk_top[local], sum4(w), vec2<f32>(sum4(vec4<f32>(a.x, b.x, c.x, d.x)), sum4(vec4<f32>(a.y, b.y, c.y, d.y))));
}
