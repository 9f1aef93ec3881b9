// A piece of rows of the transposed product: what each thread brings of it, decoded and transposed into
// workgroup memory, and multiplied.

struct Piece {
    weights: array<vec4<u32>, WEIGHT_ITEMS>,
    codes: array<vec4<u32>, CODE_ITEMS>,
}

struct Place {
    block: u32,
    word: u32,
    power: u32,      // what finds the thread's columns in the word: see place_of()
    token_quad: u32, // the workgroup's first run of four tokens
    variant: u32,    // of the codes
}

// Bytes of four rows, a word each, as words of four columns, a row in each byte.
fn columns_from(rows: vec4<u32>) -> vec4<u32> {
    let even = rows & vec4<u32>(0x00FF00FFu);
    let odd = (rows >> vec4<u32>(8u)) & vec4<u32>(0x00FF00FFu);
    let even_pairs = even.xz | (even.yw << vec2<u32>(8u));
    let odd_pairs = odd.xz | (odd.yw << vec2<u32>(8u));
    return vec4<u32>((even_pairs.x & 0xFFFFu) | (even_pairs.y << 16u), (odd_pairs.x & 0xFFFFu) | (odd_pairs.y << 16u),
        (even_pairs.x >> 16u) | (even_pairs.y & 0xFFFF0000u), (odd_pairs.x >> 16u) | (odd_pairs.y & 0xFFFF0000u));
}

// What this thread brings of a piece: words of four rows, always from the same columns, and codes of four tokens.
fn fetched(piece: u32, place: Place, thread: u32) -> Piece {
    var found: Piece;
    #for i in WEIGHT_ITEMS
    {
        let run = min(piece * RUNS + (thread + i * WG) / COLUMN_LANES, ROW_QUADS - 1u);
        found.weights[i] = row_words(run / 8u * BLOCKS + place.block, place.word, run % 8u);
    }
    #end
    #for i in CODE_ITEMS
    {
        let item = thread + i * WG;
        let run = min(piece * RUNS + item / CODE_QUADS, PADDED_QUADS - 1u);
        let limb = item % CODE_QUADS / TOKEN_LANES;
        let quad = min(place.token_quad + item % TOKEN_LANES, GROUPS * 2u - 1u);
        found.codes[i] = q[(((place.variant * LIMBS + limb) * GROUPS + quad / 2u) * PADDED_QUADS + run) * 2u + quad % 2u];
    }
    #end
    return found;
}

fn stage(brought: Piece, piece: u32, place: Place, thread: u32) {
    let buffer = piece % 2u * BUFFER;
    #for i in WEIGHT_ITEMS
    {
        let item = thread + i * WG;
        if (RUNS * COLUMN_LANES % WG == 0u || item < RUNS * COLUMN_LANES) {
            staged[buffer + item / COLUMN_LANES * PITCH + item % COLUMN_LANES] = columns_from(quads_in(brought.weights[i], place.power));
        }
    }
    #end
    #for i in CODE_ITEMS
    {
        let item = thread + i * WG;
        if (RUNS * CODE_QUADS % WG == 0u || item < RUNS * CODE_QUADS) {
            staged[buffer + item / CODE_QUADS * PITCH + COLUMN_LANES + item % CODE_QUADS] = brought.codes[i];
        }
    }
    #end
}

fn dots(w: vec4<u32>, a: u32) -> vec4<i32> {
    return vec4<i32>(dot4(w.x, a), dot4(w.y, a), dot4(w.z, a), dot4(w.w, a));
}

fn multiply(sum: ptr<function, Sums>, piece: u32, column_lane: u32, token_lane: u32, slice: u32) {
    let first = piece % 2u * BUFFER + slice * PITCH;
    for (var run = step.zero; run < RUNS; run += SLICES * TOGETHER) {
        #for i in TOGETHER
        {
            let at = first + (run + i * SLICES) * PITCH;
            let w = staged[at + column_lane];
            #for limb in LIMBS
            {
                let a = staged[at + COLUMN_LANES + limb * TOKEN_LANES + token_lane];
                #for j in FOUR
                (*sum)[limb * 4u + j] += dots(w, a[j]);
                #end
            }
            #end
        }
        #end
    }
}
