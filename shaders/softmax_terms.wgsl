// Loss, slope and curvature of a softmax along a line from the cached margins z + step u, with the row weights if there
// are any: at up to four steps (a probe), or at the first one, where it leaves the residuals too, without the weights, or
// for the diagonal of the Hessian p_m (1 - p_m) in their place.
// Never touches the features. A workgroup takes one block and writes one slot, as `probe` does:
// [sum loss, sum of slopes, sum of curvatures], a vec4 over the steps each. The stamps stand behind all slots.
//
// Class 0 is the reference, whose z and u are 0. Of a row, a is the class of the largest z, e_k = exp(z_k - z_a) and
// v_k = u_k - u_a; what is summed leaves out a, whose own term is 1 or 0, so that a small rest keeps its precision:
// rest = sum e_k, first = sum e_k v_k, second = sum e_k v_k^2. With p_a at least 1/K, the difference that is the
// curvature is at least p_a of its larger part.

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> labels: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> row_weights: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> margins: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> direction_margins: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> residuals: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> slots: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_row = group.x * pass_.block_rows;
    let last_row = min(first_row + pass_.block_rows, pass_.rows);
    var loss = vec4(0.0);
    var slope = vec4(0.0);
    var curvature = vec4(0.0);
    for (var row = first_row + 4u * lane; row < last_row; row += TILE) {
        let k = row / 4u;
        let here = holds_data(row, last_row);
        var w = vec4(1.0);
        if (HAS_ROW_WEIGHTS) {
            w = select(vec4(0.0), row_weights[k], here);
        }
        let counts = counting(here, w);
        let t = vec4<u32>(select(vec4(0.0), labels[k], counts));
        for (var p = 0u; p < max(pass_.probes, 1u); p++) {
            // The largest class, and that of the label.
            var a = vec4(0u);
            var z_a = vec4(0.0);
            var u_a = vec4(0.0);
            var z_t = vec4(0.0);
            var u_t = vec4(0.0);
            for (var m = 0u; m < pass_.margins; m++) {
                let u = direction(m, k, counts);
                let z = at_step(m, k, counts, p, u);
                let larger = z > z_a;
                a = select(a, vec4(m + 1u), larger);
                z_a = select(z_a, z, larger);
                u_a = select(u_a, u, larger);
                let labelled = t == vec4(m + 1u);
                z_t = select(z_t, z, labelled);
                u_t = select(u_t, u, labelled);
            }
            // What class 0 adds, where it is not the largest; and the sum without the label's class.
            let e_0 = exp(-z_a);
            var rest = select(e_0, vec4(0.0), a == vec4(0u));
            var first = -rest * u_a;
            var second = rest * u_a * u_a;
            var others = select(e_0, vec4(0.0), t == vec4(0u));
            for (var m = 0u; m < pass_.margins; m++) {
                let u = direction(m, k, counts);
                let e = exp(at_step(m, k, counts, p, u) - z_a);
                let aside = select(e, vec4(0.0), a == vec4(m + 1u));
                let v = u - u_a;
                rest += aside;
                first += aside * v;
                second += aside * v * v;
                others += select(e, vec4(0.0), t == vec4(m + 1u));
            }
            let whole = 1.0 / (1.0 + rest);
            let mean = first * whole;
            loss += in_place(p, sum_of_rows(weighed(w, select(vec4(0.0), (z_a - z_t) + log_whole(rest), counts))));
            slope += in_place(p, sum_of_rows(weighed(w, (u_a - u_t) + mean)));
            curvature += in_place(p, sum_of_rows(weighed(w, max(second * whole - mean * mean, vec4(0.0)))));
            if (pass_.probes == 0u) {
                for (var m = 0u; m < pass_.margins; m++) {
                    let e = exp(at_step(m, k, counts, p, direction(m, k, counts)) - z_a);
                    // p_m - 1 is what the others have.
                    var left = select(e, -others, t == vec4(m + 1u)) * whole;
                    if (pass_.product == 2u) {
                        // Beside m the largest class stays, so that no more than half is taken away.
                        let beside = select((1.0 + rest) - e, rest, a == vec4(m + 1u));
                        left = (e * whole) * (beside * whole);
                    }
                    residuals[m * pass_.stride + k] = select(vec4(0.0), left, counts);
                }
            }
        }
    }
    let losses = tree_sum(lane, GROUP, 1u, loss);
    let slopes = tree_sum(lane, GROUP, 1u, slope);
    let curvatures = tree_sum(lane, GROUP, 1u, curvature);
    if (lane == 0u) {
        slots[3u * group.x] = losses;
        slots[3u * group.x + 1u] = slopes;
        slots[3u * group.x + 2u] = curvatures;
        var made = mixed(made_of(pass_.stamp, margins[pass_.state].x), pass_.product);
        if (pass_.reads_direction == 1u) {
            made = made_of(made, direction_margins[pass_.state].x);
        }
        slots[3u * groups.x + group.x] = vec4(stamp_of(made));
        if (group.x == 0u && pass_.probes == 0u) {
            residuals[pass_.state] = vec4(stamp_of(made));
        }
    }
}

// Four rows of a direction margin, 0 where the pass reads no direction.
fn direction(m: u32, k: u32, counts: vec4<bool>) -> vec4<f32> {
    if (pass_.reads_direction == 1u) {
        return select(vec4(0.0), direction_margins[m * pass_.stride + k], counts);
    }
    return vec4(0.0);
}

// Four rows of a margin at a step.
fn at_step(m: u32, k: u32, counts: vec4<bool>, p: u32, u: vec4<f32>) -> vec4<f32> {
    return select(vec4(0.0), margins[m * pass_.stride + k], counts) + pass_.steps[p] * u;
}

// ln(1 + rest): by the series up to 1; beyond, where it is no small number, by the device's logarithm.
fn log_whole(rest: vec4<f32>) -> vec4<f32> {
    return select(log(1.0 + rest), log_1p(min(rest, vec4(1.0))), rest <= vec4(1.0));
}
