// What the products of columns of a softmax have for each row, times the row weights if there are any: for a pair of
// margins m >= l the curvature p_m ([m = l] - p_l), or for the scatter r_m r_l. A workgroup takes one tile of rows
// (group.x) and one pair (group.y, from `first_pair` on, row by row: (0,0), (1,0), (1,1), ...); nothing is summed over
// rows. 1 - p_m is the sum of the other probabilities, never a difference.

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> row_weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> margins: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> residuals: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> factors: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x * TILE + 4u * lane;
    let here = holds_data(row, pass_.rows);
    if (!here.x) {
        return;
    }
    let k = row / 4u;
    let pair = pass_.first_pair + group.y;
    var m = 0u;
    while ((m + 1u) * (m + 2u) / 2u <= pair) {
        m += 1u;
    }
    let l = pair - m * (m + 1u) / 2u;
    var w = vec4(1.0);
    if (HAS_ROW_WEIGHTS) {
        w = select(vec4(0.0), row_weights[k], here);
    }
    let counts = counting(here, w);
    var factor = vec4(0.0);
    if (pass_.product == 1u) {
        factor = select(vec4(0.0), residuals[m * pass_.stride + k] * residuals[l * pass_.stride + k], counts);
    } else {
        var z_a = vec4(0.0);
        for (var i = 0u; i < pass_.margins; i++) {
            z_a = max(z_a, margin(i, k, counts));
        }
        var others = exp(-z_a);
        for (var i = 0u; i < pass_.margins; i++) {
            if (i != m) {
                others += exp(margin(i, k, counts) - z_a);
            }
        }
        let e_m = exp(margin(m, k, counts) - z_a);
        let whole = 1.0 / (others + e_m);
        if (m == l) {
            factor = (e_m * whole) * (others * whole);
        } else {
            factor = -(e_m * whole) * (exp(margin(l, k, counts) - z_a) * whole);
        }
    }
    factors[group.y * pass_.stride + k] = select(vec4(0.0), weighed(w, factor), counts);
    if (row == 0u && group.y == 0u) {
        let read = made_of(made_of(pass_.stamp, margins[pass_.state].x), residuals[pass_.state].x);
        factors[pass_.others] = vec4(stamp_of(mixed(mixed(read, pass_.product), pass_.first_pair)));
    }
}

// Four rows of a margin, 0 where they do not count.
fn margin(m: u32, k: u32, counts: vec4<bool>) -> vec4<f32> {
    return select(vec4(0.0), margins[m * pass_.stride + k], counts);
}
