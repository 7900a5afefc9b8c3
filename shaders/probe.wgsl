// Loss, slope and curvature along a line, at up to four steps, from the cached margins: z + step u; with the row
// weights if there are any.
// Never touches the features. A workgroup takes one block and writes one slot:
// [sum loss, sum r u, sum S u^2], a vec4 over the steps each, 0 for those that were not asked for. The stamps of the workgroups stand behind all slots.

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> labels: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> row_weights: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> margins: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> direction_margins: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> slots: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Read while the first rows are on their way.
    let made = made_of(made_of(pass_.stamp, margins[pass_.state].x), direction_margins[pass_.state].x);
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
        let u = select(vec4(0.0), direction_margins[k], counts);
        let z = select(vec4(0.0), margins[k], counts);
        let t = select(vec4(0.0), labels[k], counts);
        for (var p = 0u; p < pass_.probes; p++) {
            let at = z + pass_.steps[p] * u;
            let e = exp(-abs(at));
            loss += in_place(p, sum_of_rows(weighed(w, select(vec4(0.0), loss_by(e, at, t), counts))));
            slope += in_place(p, sum_of_rows(weighed(w, residual_by(e, at, t) * u)));
            curvature += in_place(p, sum_of_rows(weighed(w, curvature_by(e) * u * u)));
        }
    }
    let losses = tree_sum(lane, GROUP, 1u, loss);
    let slopes = tree_sum(lane, GROUP, 1u, slope);
    let curvatures = tree_sum(lane, GROUP, 1u, curvature);
    if (lane == 0u) {
        slots[3u * group.x] = losses;
        slots[3u * group.x + 1u] = slopes;
        slots[3u * group.x + 2u] = curvatures;
        slots[3u * groups.x + group.x] = vec4(stamp_of(made));
    }
}
