// One pass over the features of a chunk. Map: margins, probabilities L_k, per-row loss, residual and
// gradient terms at margins z + step u, with u = X p computed here if the pass reads a direction, and 0 if not.
// Reduce: a tree for each sum of each tile. A workgroup takes one block and writes one slot:
// [sum loss, sum r u, sum S u^2, sum r, sum r x_1 .. sum r x_d]: phi, phi', phi'' and the gradient.

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> features: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> labels: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> direction: array<f32>;
@group(0) @binding(4) var<storage, read> margins: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> direction_margins: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> residuals: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> slots: array<f32>;

var<workgroup> tile_residuals: array<vec4<f32>, GROUP>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_row = group.x * pass_.block_rows;
    let last_row = min(first_row + pass_.block_rows, pass_.rows);
    let slot = group.x * (pass_.features + 4u);
    for (var tile = first_row; tile < last_row; tile += TILE) {
        let row = tile + 4u * lane;
        let k = row / 4u;
        var terms = vec4(0.0);
        var residual = vec4(0.0);
        if (row < last_row) {
            let here = holds_data(row, last_row);
            var u = vec4(0.0);
            if (pass_.reads_direction == 1u) {
                u = vec4(pass_.intercept);
                for (var j = 0u; j < pass_.features; j++) {
                    u += direction[j] * features[j * pass_.stride + k];
                }
                u = select(vec4(0.0), u, here);
                direction_margins[k] = u;
            }
            let z = select(vec4(0.0), margins[k] + pass_.steps.x * u, here);
            let t = select(vec4(0.0), labels[k], here);
            residual = select(vec4(0.0), residual_of(z, t), here);
            residuals[k] = residual;
            let loss = select(vec4(0.0), loss_of(z, t), here);
            terms = vec4(sum_of_rows(loss), sum_of_rows(residual * u),
                sum_of_rows(logistic_curvature(z) * u * u), sum_of_rows(residual));
        }
        tile_residuals[lane] = residual;
        let sums = tree_sum(lane, GROUP, terms);
        if (lane < 4u) {
            add_to_slot(slot + lane, sums[lane], tile == first_row);
        }
        // The gradient: LANES invocations share four columns and walk down the rows of the tile (every read of
        // a residual comes before a tree, whose barriers come before the next tile),
        // which the cache still holds.
        let tile_vectors = (min(TILE, last_row - tile) + 3u) / 4u;
        for (var first_column = 0u; first_column < pass_.features; first_column += COLUMNS) {
            let j = first_column + lane / LANES * 4u;
            // Lanes beyond the last column walk down it once more and leave their sum unused.
            let columns = min(vec4(j, j + 1u, j + 2u, j + 3u), vec4(pass_.features - 1u)) * pass_.stride + tile / 4u;
            var gradient = vec4(0.0);
            for (var i = lane % LANES; i < tile_vectors; i += LANES) {
                let here = holds_data(tile + 4u * i, last_row);
                let r = tile_residuals[i];
                gradient += vec4(
                    dot(r, select(vec4(0.0), features[columns.x + i], here)),
                    dot(r, select(vec4(0.0), features[columns.y + i], here)),
                    dot(r, select(vec4(0.0), features[columns.z + i], here)),
                    dot(r, select(vec4(0.0), features[columns.w + i], here)));
            }
            let sum = tree_sum(lane, LANES, gradient);
            let column = j + lane % LANES;
            if (lane % LANES < 4u && column < pass_.features) {
                add_to_slot(slot + 4u + column, sum[lane % LANES], tile == first_row);
            }
        }
    }
}

// Each slot entry belongs to one invocation, which adds its tiles in their order.
fn add_to_slot(entry: u32, sum: f32, first: bool) {
    if (first) {
        slots[entry] = sum;
    } else {
        slots[entry] += sum;
    }
}
