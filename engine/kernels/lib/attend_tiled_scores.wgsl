// A chunk's scores of a workgroup's queries, and the weights that they become. NumPy twin: ops/attend.py.
const LANES: u32 = 8u;                    // threads that share 32 positions, four each
const BLOCK: u32 = 4u * LANES;
const PITCH: u32 = CHUNK / 4u + 1u;       // one more, here and below: threads that go down a column lie in different banks
const KEY_PITCH: u32 = STAGED + 1u;
const LOWEST: f32 = -3.0e38;

var<workgroup> score: array<vec4<f32>, QUERIES * PITCH>;      // [query][four positions]; then the weights
var<workgroup> staged: array<vec2<u32>, QUADS * KEY_PITCH>;   // keys [quad][position mod 4][position / 4], or values [position][quad]
var<workgroup> lane_top: array<f32, QUERIES * LANES>;

fn halves(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

// Where in keys and values item (position, quad) of what is staged lies: positions from `start` on, the last of `count` again
// where there are no more. Threads load all TURNS of their items before they store any.
fn staged_row(base: u32, start: u32, count: u32, item: u32) -> u32 {
    return base + min(start + item / QUADS, count - 1u) * QUADS + item % QUADS;
}

fn stage_keys(base: u32, start: u32, count: u32, thread: u32) {
    var word: array<vec2<u32>, TURNS>;
    #for t in TURNS
    word[t] = keys[staged_row(base, start, count, t * WG + thread)];
    #end
    #for t in TURNS
    {
        let p = (t * WG + thread) / QUADS;
        staged[(t * WG + thread) % QUADS * KEY_PITCH + p % 4u * (STAGED / 4u) + p / 4u] = word[t];
    }
    #end
}

// Scores four queries, which begin at `row`, against the four staged keys of `place`. `to`: where the first one's scores go.
fn score_tile(row: array<u32, ITEMS>, place: u32, to: u32) {
    var sum = Sums();
    for (var i = 0u; i < QUADS; i++) {
        var key: array<vec4<f32>, ITEMS>;
        #for p in ITEMS
        key[p] = halves(staged[i * KEY_PITCH + p * (STAGED / 4u) + place]);
        #end
        #for q in ITEMS
        {
            let query = queries[row[q] + i];
            #for p in ITEMS
            sum[q * ITEMS + p] = sealed4(sum[q * ITEMS + p] + mul4(query, key[p]));
            #end
        }
        #end
    }
    #for q in ITEMS
    score[to + q * PITCH] = mul4(vec4<f32>(SCALE), vec4<f32>(sum4(sum[q * ITEMS]), sum4(sum[q * ITEMS + 1u]),
        sum4(sum[q * ITEMS + 2u]), sum4(sum[q * ITEMS + 3u])));
    #end
}

// Positions of the chunk that a query sees. `reach`: how many lie before the workgroup's first token, and how many its last sees.
fn seen_by(query: u32, reach: vec2<i32>) -> u32 {
    return u32(clamp(reach.x + i32(query) + 1, 0, reach.y));
}

// The largest score that each lane of a query sees.
fn find_tops(reach: vec2<i32>, thread: u32) {
    for (var item = thread; item < QUERIES * LANES; item += WG) {
        let seen = seen_by(item / LANES, reach);
        var top = vec4<f32>(LOWEST);
        for (var p = item % LANES * 4u; p < u32(reach.y); p += BLOCK) {
            let sees = vec4<u32>(p, p + 1u, p + 2u, p + 3u) < vec4<u32>(seen);
            top = max(top, select(vec4<f32>(LOWEST), score[item / LANES * PITCH + p / 4u], sees));
        }
        lane_top[item] = max(max(top.x, top.y), max(top.z, top.w));
    }
}

fn top_of(query: u32) -> f32 {
    var top = lane_top[query * LANES];
    for (var lane = 1u; lane < LANES; lane++) { top = max(top, lane_top[query * LANES + lane]); }
    return top;
}

fn weight_of(score: f32, top: f32, sees: bool) -> f32 {
    let shifted = sealed(score - top);
    return select(0.0, exponential(shifted), sees && shifted >= -60.0);
}

fn weigh(reach: vec2<i32>, thread: u32) {
    for (var item = thread; item < QUERIES * LANES; item += WG) {
        let seen = seen_by(item / LANES, reach);
        let top = top_of(item / LANES);
        for (var p = item % LANES * 4u; p < u32(reach.y); p += BLOCK) {
            let at = item / LANES * PITCH + p / 4u;
            let four = score[at];
            score[at] = vec4<f32>(weight_of(four.x, top, p < seen), weight_of(four.y, top, p + 1u < seen),
                weight_of(four.z, top, p + 2u < seen), weight_of(four.w, top, p + 3u < seen));
        }
    }
}
