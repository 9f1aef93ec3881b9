// Eight tokens' dots with TILES rows, 32 apart, by one thread, over all columns. Reads q (int8 quads of eight tokens).
alias Sums = array<vec4<i32>, 2u * TILES>;   // [tile][8 tokens]
alias Values = array<vec4<f32>, 2u * TILES>;

fn dots(w: u32, a: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(dot4(w, a.x), dot4(w, a.y), dot4(w, a.z), dot4(w, a.w));
}

// Adds the dots of one block: TILES rows times eight tokens, each activation read once for all rows.
fn block_dots(sum: ptr<function, Sums>, first_tile: u32, row: u32, block: u32, act: u32) {
    for (var load = 0u; load < LOADS; load++) {
        var words: array<vec2<u32>, TILES>;
        #for t in TILES
        {
            let tile = min(first_tile + t, range.y - 1u);
            words[t] = loaded(((tile * BLOCKS + block) * LOADS + load) * 32u + row);
        }
        #end
        #for part in PARTS
        {
        var state: array<vec2<u32>, TILES>;
        #for t in TILES
        state[t] = opened(words[t][part]);
        #end
        for (var l = 0u; l < WORD_QUADS; l++) {
            let at = act + quad_at(load * PARTS + part, l) * 2u;
            let low = q[at];
            let high = q[at + 1u];
            #for t in TILES
            {
                let turn = shown(state[t]);
                (*sum)[2u * t] += dots(quad_of(turn), low);
                (*sum)[2u * t + 1u] += dots(quad_of(turn), high);
                state[t] = rest_of(turn);
            }
            #end
        }
        }
        #end
    }
}

// The scaled sums of TILES rows for eight tokens, the token's own scale left out.
fn row_values(first_tile: u32, row: u32, tokens: u32) -> Values {
    var value = Values();
    var sum = Sums();
    for (var block = 0u; block < BLOCKS; block++) {
        let act = (tokens * BLOCKS + block) * 128u;
        block_dots(&sum, first_tile, row, block, act);
#if BLOCK_SCALES
        var ones = array<vec4<i32>, 2>();
        for (var half = 0u; half < 128u; half++) { ones[half % 2u] += dots(0x01010101u, q[act + half]); }
        #for t in TILES
        {
            let scale = vec4<f32>(scales[((range.x + first_tile + t) * BLOCKS + block) * 32u + row]);
            for (var half = 0u; half < 2u; half++) {
                value[2u * t + half] = sealed4(value[2u * t + half] + mul4(vec4<f32>(sum[2u * t + half] - ones[half]), scale));
                sum[2u * t + half] = vec4<i32>(0);
            }
        }
        #end
#endif
    }
#if !BLOCK_SCALES
    for (var half = 0u; half < 2u; half++) {
        let first = tokens * 8u + half * 4u;
        let last = step.count - 1u;
        let code_sum = vec4<i32>(act_sum[min(first, last)], act_sum[min(first + 1u, last)], act_sum[min(first + 2u, last)],
            act_sum[min(first + 3u, last)]);                              // codes are trit + 1
        #for t in TILES
        value[2u * t + half] = vec4<f32>(sum[2u * t + half] - code_sum);
        #end
    }
#endif
    return value;
}
