// Sums over tokens of dy's codes (three limbs) times x's: a workgroup owns 64 rows and 64 columns of the weights, a thread 4 x 4 of them.
// Integer sums, exact in any order; several workgroups may share the tokens of a tile, and the limbs of x.
#include "lib/exact.wgsl"
#include "lib/dot4.wgsl"
@group(0) @binding(auto) var<storage, read> words: array<vec4<u32>>;      // dy: [limb][M / 4][PITCH / 4], a byte a token
@group(0) @binding(auto) var<storage, read> q: array<vec4<u32>>;          // x: [limb][M / 8][K / 4][8 tokens], a byte a column
#if WHOLE
#include "lib/weight_total.wgsl"
#else
@group(0) @binding(auto) var<storage, read_write> parts: array<vec4<i32>>;  // [limb of x][slice][limb][N][K / 4]
#endif

const WG: u32 = 256u;
const CHUNK: u32 = 16u;                                                   // runs of four tokens in workgroup memory

var<workgroup> left: array<vec4<u32>, 768>;                               // [limb][run][64 rows]
var<workgroup> right: array<vec4<u32>, 256>;                              // [run][64 columns]

// Four tokens' bytes of four columns -> four columns' bytes of four tokens.
fn turned(a: vec4<u32>) -> vec4<u32> {
    let even = (a.xz & vec2<u32>(0x00FF00FFu)) | ((a.yw & vec2<u32>(0x00FF00FFu)) << vec2<u32>(8u));
    let odd = ((a.xz >> vec2<u32>(8u)) & vec2<u32>(0x00FF00FFu)) | (a.yw & vec2<u32>(0xFF00FF00u));
    return vec4<u32>((even.x & 0xFFFFu) | (even.y << 16u), (odd.x & 0xFFFFu) | (odd.y << 16u),
        (even.x >> 16u) | (even.y & 0xFFFF0000u), (odd.x >> 16u) | (odd.y & 0xFFFF0000u));
}

// Words of dy beyond the tokens are 0, so that x's may be anything there.
fn stage(first_run: u32, runs: u32, row_quad: u32, column_quad: u32, first_group: u32, thread: u32) {
    let run = first_run + thread / 16u;
    let at = min(run, QUADS - 1u) * (PITCH / 4u) + row_quad + thread % 16u;
    #for limb in LIMBS
    left[limb * WG + thread] = select(vec4<u32>(0u), words[limb * QUADS * (PITCH / 4u) + at], run < runs);
    #end
    let turn = thread / 32u * 2u + thread % 2u;                           // neighbours read the two halves of eight tokens
    let lane = thread / 2u % 16u;
    let eight = first_group + min(first_run / 2u + thread / 32u, GROUPS - 1u);
    right[turn * 16u + lane] = turned(q[(eight * PADDED_QUADS + column_quad + lane) * 2u + thread % 2u]);
}

fn dots(w: u32, a: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(dot4(w, a.x), dot4(w, a.y), dot4(w, a.z), dot4(w, a.w));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let runs = (step.count + 3u) / 4u;
    let slice = group.z % SLICES;
    let column = thread % 16u;                                            // quad of the tile's columns; and of its rows:
    let row = thread / 16u;
    var sum = array<vec4<i32>, SUMS>();                                   // [limb][4 rows]
    for (var first = slice * CHUNK; first < runs; first += SLICES * CHUNK) {
        workgroupBarrier();
        stage(first, runs, group.y * 16u, group.x * 16u, group.z / SLICES * GROUPS, thread);
        workgroupBarrier();
        for (var run = 0u; run < CHUNK; run++) {
            let a = right[run * 16u + column];
            #for limb in LIMBS
            {
                let w = left[limb * WG + run * 16u + row];
                #for i in ITEMS
                sum[limb * ITEMS + i] += dots(w[i], a);
                #end
            }
            #end
        }
    }
    let quad = group.x * 16u + column;
    #for i in ITEMS
    {
        let at = group.y * 64u + row * ITEMS + i;
        if (at < N && quad < COLUMN_QUADS) {
#if WHOLE
            store(at, quad, rounded(sum[i], sum[ITEMS + i], sum[2u * ITEMS + i]));
#else
            #for limb in LIMBS
            parts[((group.z * LIMBS + limb) * N + at) * COLUMN_QUADS + quad] = sum[limb * ITEMS + i];
            #end
#endif
        }
    }
    #end
}
