// order (M): the step's tokens by row of the table, and in a row by their own order, each with the number of its row's
// tokens from it on. A thread finds the place of one token: it counts the keys below that token's.
#include "lib/step.wgsl"
@group(0) @binding(auto) var<storage, read> tokens: array<u32>;            // of all positions
@group(0) @binding(auto) var<storage, read_write> order: array<vec2<u32>>; // (token, tokens of its row from it on)

const NO_KEY: u32 = 0xFFFFFFFFu;                                          // above every key
var<workgroup> keys: array<vec4<u32>, WG>;                                // of 4 WG tokens

fn key_of(token: u32) -> u32 {
    if (token >= step.count) { return NO_KEY; }
    return min(tokens[step.position + token], ROWS - 1u) * M + token;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if (group.x * WG >= step.count) { return; }
    let token = group.x * WG + thread;
    let key = vec4<u32>(key_of(token));
    let next_row = (key / M + 1u) * M;
    var below = vec4<u32>();                                              // keys below this token's, of every fourth token
    var until = vec4<u32>();                                              // keys below those of the next row
    for (var first = 0u; first < step.count; first += 4u * WG) {
        let own = first + thread * 4u;
        keys[thread] = vec4<u32>(key_of(own), key_of(own + 1u), key_of(own + 2u), key_of(own + 3u));
        workgroupBarrier();
        for (var quad = 0u; quad < WG; quad++) {
            let others = keys[quad];
            below += vec4<u32>(others < key);
            until += vec4<u32>(others < next_row);
        }
        workgroupBarrier();
    }
    if (token >= step.count) { return; }
    let place = below.x + below.y + below.z + below.w;
    order[place] = vec2<u32>(token, until.x + until.y + until.z + until.w - place);
}
