// The sums of a tile in workgroup memory, where slices add up and gates find their pairs, beside what scales them.

// Where a result of the tile lies among those in workgroup memory: neighbours in either direction in different banks.
fn result_at(token: u32, row_quad: u32) -> u32 {
    return token * ROW_QUADS + (row_quad ^ (token / 4u % 8u));
}

// What slices of a thread's t-th runs of tokens hold meets in workgroup memory; only integers have slices.
fn gather(held: array<vec4<u32>, 4u * ROW_RUNS>, lane: Lane) {
    for (var slice = 0u; slice < SLICES; slice++) {
        if (lane.slice == slice) {
            #for j in FOUR
            #for r in ROW_RUNS
            {
                let at = result_at(lane.tokens * 4u + j, lane.rows + r * 8u);
                var before = vec4<u32>(0u);
                if (slice > 0u) { before = staged[at]; }
                staged[at] = before + held[j * ROW_RUNS + r];
            }
            #end
            #end
        }
        workgroupBarrier();
    }
}

// What scales the results: of one token and of one run of rows each thread loads it before the product, so that no result waits.
struct Scales {
    token: vec4<u32>,  // scale, sum of codes
    rows: vec4<f32>,
}

fn scales_of(first_tile: u32, first_token: u32, thread: u32) -> Scales {
    let token = min(first_token + thread, step.count - 1u);
    var found = Scales(vec4<u32>(bitcast<u32>(act_scale[token]), bitcast<u32>(act_sum[token]), 0u, 0u), vec4<f32>());
#if !BLOCK_SCALES
    let tile = range.x + min(first_tile + thread / 8u, range.y - 1u);
    found.rows = four_scales(tile * 32u + thread % 8u * 4u);
#endif
    return found;
}

fn stage_scales(found: Scales, thread: u32) {
    if (thread < TOKEN_QUADS * 4u) { staged[RESULTS + thread] = found.token; }
    if (thread < ROW_QUADS) { staged[RESULTS + TOKEN_QUADS * 4u + thread] = bitcast<vec4<u32>>(found.rows); }
}

// Four rows of a token, scaled; a token of the tile and one of those in workgroup memory.
fn finished(token: u32, held: u32, row_quad: u32) -> vec4<f32> {
    let sum = staged[result_at(held, row_quad)];
    let of_token = staged[RESULTS + token];
    let scale = vec4<f32>(bitcast<f32>(of_token.x));
#if FLOATS
    let value = bitcast<vec4<f32>>(sum);
#else
    let value = vec4<f32>(bitcast<vec4<i32>>(sum) - bitcast<vec4<i32>>(vec4<u32>(of_token.y)));  // codes are trit + 1
#endif
#if BLOCK_SCALES
    return mul4(value, scale);
#else
    return mul4(value, mul4(bitcast<vec4<f32>>(staged[RESULTS + TOKEN_QUADS * 4u + row_quad]), scale));
#endif
}
