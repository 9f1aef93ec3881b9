// What 32 columns have as their largest in any of eight shares of the rows, a thread each; the largest is so in any order.
var<workgroup> tops_of_shares: array<f32, 256>;

fn column_top(top_of_share: f32, thread: u32) -> f32 {
    tops_of_shares[thread] = top_of_share;
    workgroupBarrier();
    var top = 0.0;
    for (var share = 0u; share < 8u; share++) { top = max(top, tops_of_shares[share * 32u + thread % 32u]); }
    return top;
}
