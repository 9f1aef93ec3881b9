// A piece of a tile: what each thread brings of it, decoded into workgroup memory, and multiplied.
struct Piece {
    weights: array<vec4<u32>, WEIGHT_ITEMS>,
    codes: array<vec4<u32>, CODE_ITEMS>,
}

// What this thread brings of a piece: words of four rows, and codes of four tokens.
fn fetched(piece: u32, place: Place, thread: u32) -> Piece {
    var found: Piece;
    let block = piece / BLOCK_PIECES;
    let first = piece % BLOCK_PIECES * WORDS;
    #for i in WEIGHT_ITEMS
    {
        let item = thread + i * WG;
        let tile = min(place.tile + item % ROW_QUADS / 8u, range.y - 1u);
        found.weights[i] = row_words(tile * BLOCKS + block, min(first + item / ROW_QUADS, BLOCK_WORDS - 1u), item % 8u);
    }
    #end
    #for i in CODE_ITEMS
    {
        let item = thread + i * WG;
        let quad = item / TOKEN_QUADS;
        let column = quad_at(min(first + quad / WORD_QUADS, BLOCK_WORDS - 1u), quad % WORD_QUADS);
        found.codes[i] = q[code_quad(place, item % TOKEN_QUADS, block * 64u + column)];
    }
    #end
    return found;
}

// Decode what was brought into one of the two buffers.
fn stage(brought: Piece, piece: u32, thread: u32) {
    let buffer = piece % 2u * BUFFER;
    #for i in WEIGHT_ITEMS
    {
        let item = thread + i * WG;
        if (WORDS * ROW_QUADS % WG == 0u || item < WORDS * ROW_QUADS) {
            let quads = quads_of(brought.weights[i]);
            let at = buffer + item / ROW_QUADS * WORD_QUADS * PITCH + item % ROW_QUADS;
            #for l in WORD_QUADS
            staged[at + l * PITCH] = quads[l];
            #end
        }
    }
    #end
    #for i in CODE_ITEMS
    {
        let item = thread + i * WG;
        if (WORDS * WORD_QUADS * TOKEN_QUADS % WG == 0u || item < WORDS * WORD_QUADS * TOKEN_QUADS) {
            staged[buffer + item / TOKEN_QUADS * PITCH + ROW_QUADS + item % TOKEN_QUADS] = brought.codes[i];
        }
    }
    #end
}

// Where in a thread's workgroup it works: its runs begin at these quads of rows and of tokens.
struct Lane {
    rows: u32,
    tokens: u32,
    slice: u32,
}

fn lane_of(thread: u32) -> Lane {
    let row = thread / TOKEN_LANES % ROW_LANES;
    return Lane(row / 8u * 8u * ROW_RUNS + row % 8u, thread % TOKEN_LANES, thread / (TOKEN_LANES * ROW_LANES));
}

fn four_scales(at: u32) -> vec4<f32> {
    return vec4<f32>(scales[at], scales[at + 1u], scales[at + 2u], scales[at + 3u]);
}

fn dots(w: vec4<u32>, a: u32) -> vec4<i32> {
    return vec4<i32>(dot4(w.x, a), dot4(w.y, a), dot4(w.z, a), dot4(w.w, a));
}

fn multiply(sum: ptr<function, Sums>, piece: u32, lane: Lane) {
    let words = min(WORDS, BLOCK_WORDS - piece % BLOCK_PIECES * WORDS);
    for (var word = lane.slice + step.zero; word < words; word += SLICES) {
        let first = piece % 2u * BUFFER + word * WORD_QUADS * PITCH;
        #for l in WORD_QUADS
        {
            let at = first + l * PITCH;
            var w: array<vec4<u32>, ROW_RUNS>;
            #for r in ROW_RUNS
            w[r] = staged[at + lane.rows + r * 8u];
            #end
            #for t in TOKEN_RUNS
            {
                let a = staged[at + ROW_QUADS + lane.tokens + t * TOKEN_LANES];
                #for j in FOUR
                #for r in ROW_RUNS
                (*sum)[(t * 4u + j) * ROW_RUNS + r] += dots(w[r], a[j]);
                #end
                #end
            }
            #end
        }
        #end
    }
}
