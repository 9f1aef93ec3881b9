// Eight tokens' dots with TILES rows, 32 apart, by one thread, over all columns. Reads q (int8 quads of eight tokens).
alias Sums = array<vec4<i32>, 2u * TILES>;   // [tile][8 tokens]
alias Values = array<vec4<f32>, 2u * TILES>;

fn dots(w: u32, a: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(dot4(w, a.x), dot4(w, a.y), dot4(w, a.z), dot4(w, a.w));
}

#include "lib/units.wgsl"

// Adds the dots of one unit: TILES rows times eight tokens, each activation read once for all rows.
fn unit_dots(sum: ptr<function, Sums>, words: Words, unit: u32, tokens: u32) {
    let act = (tokens * BLOCKS + unit / BLOCK_UNITS) * 128u;
    let first = unit % BLOCK_UNITS * BATCH;
    #for b in BATCH
    #for part in PARTS
    {
        var state: array<vec2<u32>, TILES>;
        #for t in TILES
        state[t] = opened(words[t * BATCH + b][part]);
        #end
        for (var turn = 0u; turn < WORD_QUADS; turn += UNROLLED) {
        #for k in UNROLLED
        {
            let at = act + quad_at((first + b) * PARTS + part, turn + k) * 2u;
            let low = q[at];
            let high = q[at + 1u];
            #for t in TILES
            {
                let next = shown(state[t]);
                (*sum)[2u * t] += dots(quad_of(next), low);
                (*sum)[2u * t + 1u] += dots(quad_of(next), high);
                state[t] = rest_of(next);
            }
            #end
        }
        #end
        }
    }
    #end
    #end
}

// The scaled sums of TILES rows for eight tokens, the token's own scale left out.
fn row_values(first_tile: u32, row: u32, tokens: u32) -> Values {
    var value = Values();
    var sum = Sums();
    var ahead = fetched(first_tile * 32u + row, 0u);
    for (var unit = 0u; unit < UNITS; unit++) {
        let now = ahead;
        if (unit + 1u < UNITS) { ahead = fetched(first_tile * 32u + row, unit + 1u); }
        unit_dots(&sum, now, unit, tokens);
#if BLOCK_SCALES
        if ((unit + 1u) % BLOCK_UNITS != 0u) { continue; }
        let block = unit / BLOCK_UNITS;
        var ones = array<vec4<i32>, 2>();
        for (var half = 0u; half < 128u; half++) {
            ones[half % 2u] += dots(0x01010101u, q[(tokens * BLOCKS + block) * 128u + half]);
        }
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
        let last = tokens / GROUPS * GROUPS * 8u + step.count - 1u;     // of this limb
        let code_sum = vec4<i32>(act_sum[min(first, last)], act_sum[min(first + 1u, last)], act_sum[min(first + 2u, last)],
            act_sum[min(first + 3u, last)]);                              // codes are trit + 1
        #for t in TILES
        value[2u * t + half] = vec4<f32>(sum[2u * t + half] - code_sum);
        #end
    }
#endif
    return value;
}
