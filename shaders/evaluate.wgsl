// One pass over the features of a chunk, each read from memory once. Map: margins, probabilities L_k, per-row loss,
// residual and gradient terms at margins z + step u, times the row weights if there are any, with u = X p computed here if the pass reads a direction, and 0
// if not. Reduce: a tree for each sum of each part. A workgroup takes one block and writes one slot:
// [sum loss, sum r u, sum S u^2, sum r, sum r x_1 .. sum r x_d]: phi, phi', phi'' and the gradient. The residuals that
// it leaves for each row are without the weights, and 0 where a weight is. The stamps of the workgroups stand behind all slots.
//
// An invocation has a row lane and a column lane, neighbours a row lane apart so that loads coalesce. Of a tile it
// holds four rows and up to eight columns in registers, for u first and then for the gradient. The column lanes are
// as many as the columns need; the row lanes are the rest of the group. Where 128 column lanes are too few (beyond
// 1024 columns) the columns come in panels of 1024, and all but the last are read again for the gradient, backwards:
// from the cache if it still holds eight rows of X for each workgroup in flight.

const HELD: u32 = 8u;          // columns that an invocation holds: two matrices of four
const COLUMN_LEVELS: u32 = 7u; // 2^7 column lanes at most, so that two row lanes read 32 neighbouring bytes
const PART: u32 = 256u;        // rows of an accumulator

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> features: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> labels: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> row_weights: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> parameters: array<f32>;
@group(0) @binding(5) var<storage, read> margins: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> direction_margins: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> residuals: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> slots: array<f32>;

var<workgroup> tile_residuals: array<vec4<f32>, GROUP>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Read while the first rows are on their way.
    let made = made_of(made_of(pass_.stamp, parameters[pass_.inputs]), margins[pass_.state].x);
    let first_row = group.x * pass_.block_rows;
    let last_row = min(first_row + pass_.block_rows, pass_.rows);
    let slot_len = pass_.features + 4u;
    let slot = group.x * slot_len;
    let row_lanes = GROUP >> min(32u - countLeadingZeros((pass_.features - 1u) / HELD), COLUMN_LEVELS);
    let column_lanes = GROUP / row_lanes;
    let row_lane = lane % row_lanes;
    let column_lane = lane / row_lanes;
    let last_panel = (pass_.features - 1u) / (HELD * column_lanes) * (HELD * column_lanes);
    let held = last_panel + column_lane;
    let weights_low = four_weights(held, column_lanes);
    let weights_high = four_weights(held + 4u * column_lanes, column_lanes);
    // Accumulators are those of the last panel: of several, each tile is a part of its own.
    let tile_rows = 4u * row_lanes;
    let part_rows = select(tile_rows, tile_rows * (PART / 4u), last_panel == 0u);
    for (var part = first_row; part < last_row; part += part_rows) {
        let part_end = min(part + part_rows, last_row);
        var terms = vec4(0.0);
        var gradient_low = vec4(0.0);
        var gradient_high = vec4(0.0);
        for (var tile = part; tile < part_end; tile += tile_rows) {
            let row = tile + 4u * row_lane;
            let k = row / 4u;
            let here = holds_data(row, last_row);
            // What is done once a row is done by the first column lane, whose row lanes are the first invocations;
            // its loads start with those of the features.
            let first_lane = lane < select(0u, row_lanes, here.x);
            var z = vec4(0.0);
            var t = vec4(0.0);
            var w = vec4(1.0);
            if (first_lane) {
                z = select(vec4(0.0), margins[k], here);
                t = select(vec4(0.0), labels[k], here);
                if (HAS_ROW_WEIGHTS) {
                    w = select(vec4(0.0), row_weights[k], here);
                }
            }
            var u = vec4(0.0);
            if (pass_.reads_direction == 1u) {
                for (var j = column_lane; j < held; j += 4u * column_lanes) {
                    u += four_columns(j, column_lanes, here, k) * four_weights(j, column_lanes);
                }
            }
            let low = four_columns(held, column_lanes, here, k);
            let high = four_columns(held + 4u * column_lanes, column_lanes, here, k);
            u = tree_sum(lane, GROUP, row_lanes, u + low * weights_low + high * weights_high);
            var residual = vec4(0.0);
            if (first_lane) {
                u = select(vec4(0.0), u + pass_.intercept, here & vec4(pass_.reads_direction == 1u));
                if (pass_.reads_direction == 1u) {
                    direction_margins[k] = u;
                }
                let counts = counting(here, w);
                u = select(vec4(0.0), u, counts);
                z = select(vec4(0.0), z + pass_.steps.x * u, counts);
                residual = select(vec4(0.0), residual_of(z, t), counts);
                residuals[k] = residual;
                let loss = weighed(w, select(vec4(0.0), loss_of(z, t), counts));
                let slope = weighed(w, residual * u);
                let curvature = weighed(w, logistic_curvature(z) * u * u);
                residual = weighed(w, residual);
                terms += vec4(sum_of_rows(loss), sum_of_rows(slope), sum_of_rows(curvature), sum_of_rows(residual));
            }
            // Only the first row lanes are read; that all write leaves nothing to be cleared before.
            tile_residuals[lane] = residual;
            workgroupBarrier();
            let r = tile_residuals[row_lane];
            gradient_low += r * low;
            gradient_high += r * high;
            for (var end = last_panel; end > 0u; end -= 4u * column_lanes) {
                let j = end - 4u * column_lanes + column_lane;
                join_columns(lane, row_lanes, slot, j, r * four_columns(j, column_lanes, here, k), part == first_row);
            }
        }
        join_columns(lane, row_lanes, slot, held, gradient_low, part == first_row);
        join_columns(lane, row_lanes, slot, held + 4u * column_lanes, gradient_high, part == first_row);
        let sums = tree_sum(lane, GROUP, 1u, terms);
        if (lane < 4u) {
            add_to_slot(slot + lane, sums[lane], part == first_row);
        }
    }
    if (lane == 0u) {
        slots[groups.x * slot_len + group.x] = stamp_of(made);
        if (group.x == 0u) {
            residuals[pass_.state] = vec4(stamp_of(mixed(made, 1u)));
            if (pass_.reads_direction == 1u) {
                direction_margins[pass_.state] = vec4(stamp_of(made));
            }
        }
    }
}

// Adds the sums over the row lanes to the slot, for the columns j, j + column lanes, .. of an invocation.
fn join_columns(lane: u32, row_lanes: u32, slot: u32, j: u32, gradient: vec4<f32>, first: bool) {
    let sums = tree_sum(lane, row_lanes, 1u, gradient);
    for (var i = lane % row_lanes; i < 4u; i += row_lanes) {
        let column = j + i * (GROUP / row_lanes);
        if (column < pass_.features) {
            add_to_slot(slot + 4u + column, sums[i], first);
        }
    }
}

// Four rows of the columns j, j + apart, .. of which there are, as the columns of a matrix; 0 beyond the last row.
fn four_columns(j: u32, apart: u32, here: vec4<bool>, k: u32) -> mat4x4<f32> {
    let columns = select(0u, pass_.features, here.x);
    return mat4x4(four_rows(j, columns, here, k), four_rows(j + apart, columns, here, k),
        four_rows(j + 2u * apart, columns, here, k), four_rows(j + 3u * apart, columns, here, k));
}

fn four_rows(j: u32, columns: u32, here: vec4<bool>, k: u32) -> vec4<f32> {
    var x = vec4(0.0);
    if (j < columns) {
        if (HAS_LEVELS) {
            let column = u32(parameters[pass_.features + j]);
            x = of_level(features[column * pass_.stride + k], parameters[2u * pass_.features + j]);
        } else {
            x = features[j * pass_.stride + k];
        }
    }
    return select(vec4(0.0), x, here);
}

// Weights of the columns j, j + apart, .. of which there are.
fn four_weights(j: u32, apart: u32) -> vec4<f32> {
    return vec4(weight(j), weight(j + apart), weight(j + 2u * apart), weight(j + 3u * apart));
}

fn weight(j: u32) -> f32 {
    if (j < pass_.features) {
        return parameters[j];
    }
    return 0.0;
}

// Each slot entry belongs to one invocation, which adds its parts in their order.
fn add_to_slot(entry: u32, sum: f32, first: bool) {
    if (first) {
        slots[entry] = sum;
    } else {
        slots[entry] += sum;
    }
}
