// Sums of the columns and of 1 over the rows of a Hessian block for each class, with the row weights if there are any:
// times the class's residuals, the gradient of a softmax; or over the rows that have the class, about the centres of
// their class in this block, or about 0. With a second group.z the same of the squares of the columns, which with
// p (1 - p) in place of the residuals is the diagonal of the Hessian.
//
// A workgroup takes one block (group.y) and one piece of EDGE columns and EIGHT classes (group.x). Its invocations are
// EDGE columns times EIGHT row lanes: each holds four rows of its column and reads what these count for the classes from
// workgroup memory, where all columns find it. Accumulators run over the lane's rows of PART, then join a binary tree over
// the parts of the block, and at last one over the row lanes. A slot is [group.z][classes][features, then the 1];
// the stamps of the workgroups stand behind all slots.

const EDGE: u32 = 32u; // columns of a piece
const EIGHT: u32 = 8u; // classes of a piece, and row lanes
const STEP: u32 = 128u; // rows that a workgroup holds at once
const HELD: u32 = 32u; // their vec4s, of each class
const PART: u32 = 256u; // rows of an accumulator
const LEVELS: u32 = 8u; // of the tree over parts: 2^7 parts of a block at most

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> features: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> labels: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> row_weights: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> sources: array<f32>;
@group(0) @binding(5) var<storage, read> residuals: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> centres: array<f32>;
@group(0) @binding(7) var<storage, read_write> class_slots: array<f32>;

// [class][four rows]
var<workgroup> right: array<vec4<f32>, GROUP>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let edges = pass_.features / EDGE + 1u;
    let first_class = group.x / edges * EIGHT;
    let classes = pass_.margins + select(0u, 1u, pass_.product >= 3u);
    let has_high = first_class + EIGHT / 2u < classes;
    let first_row = (pass_.first_block + group.y) * pass_.hessian_rows;
    let last_row = min(first_row + pass_.hessian_rows, pass_.rows);
    // As a loader, an invocation has a class and four rows; as an adder, a column and every eighth four rows.
    let load_class = first_class + lane / HELD;
    let column = group.x % edges * EDGE + lane / EIGHT;
    let in_eight = lane % EIGHT;
    // The first four classes and the others.
    var low_levels: array<vec4<f32>, LEVELS>;
    var high_levels: array<vec4<f32>, LEVELS>;
    var part = 0u;
    for (var part_row = first_row; part_row < last_row; part_row += PART) {
        var low = vec4(0.0);
        var high = vec4(0.0);
        let part_end = min(part_row + PART, last_row);
        for (var step_row = part_row; step_row < part_end; step_row += STEP) {
            let load_row = step_row + 4u * (lane % HELD);
            right[lane] = vec4(0.0);
            if (load_class < classes && load_row < part_end) {
                let k = load_row / 4u;
                let here = holds_data(load_row, part_end);
                var w = vec4(1.0);
                if (HAS_ROW_WEIGHTS) {
                    w = select(vec4(0.0), row_weights[k], here);
                }
                right[lane] = weighed(w, select(vec4(0.0), share(load_class, k), counting(here, w)));
            }
            workgroupBarrier();
            if (column <= pass_.features) {
                for (var i = in_eight; i < HELD && step_row + 4u * i < part_end; i += EIGHT) {
                    let row = step_row + 4u * i;
                    let here = counts(row, part_end);
                    var x = select(vec4(0.0), column_of(column, row / 4u, here, group.y, classes), here);
                    if (group.z == 1u) {
                        x *= x;
                    }
                    low += vec4(dot(x, right[i]), dot(x, right[i + HELD]), dot(x, right[i + 2u * HELD]), dot(x, right[i + 3u * HELD]));
                    if (has_high) {
                        high += vec4(dot(x, right[i + 4u * HELD]), dot(x, right[i + 5u * HELD]), dot(x, right[i + 6u * HELD]), dot(x, right[i + 7u * HELD]));
                    }
                }
            }
            workgroupBarrier();
        }
        // A binary counter: the part joins every complete subtree of its own size.
        var level = 0u;
        while (((part >> level) & 1u) == 1u) {
            low += low_levels[level];
            high += high_levels[level];
            level += 1u;
        }
        low_levels[level] = low;
        high_levels[level] = high;
        part += 1u;
    }
    // What is left are the subtrees of the bits of `part`, the smallest first.
    var low = vec4(0.0);
    var high = vec4(0.0);
    for (var level = 0u; level < LEVELS; level++) {
        if (((part >> level) & 1u) == 1u) {
            low += low_levels[level];
            high += high_levels[level];
        }
    }
    low = tree_sum(lane, EIGHT, 1u, low);
    high = tree_sum(lane, EIGHT, 1u, high);
    // Each row lane writes the sum of one class.
    if (column <= pass_.features && first_class + in_eight < classes) {
        let slot = (group.y * groups.z + group.z) * classes + first_class + in_eight;
        class_slots[slot * (pass_.features + 1u) + column] = select(high, low, in_eight < 4u)[in_eight % 4u];
    }
    if (lane == 0u) {
        var made = mixed(mixed(pass_.stamp, pass_.product), pass_.first_block);
        if (pass_.product < 3u) {
            made = made_of(made, residuals[pass_.state].x);
        }
        if (pass_.product == 3u) {
            made = made_of(made, centres[pass_.others]);
        }
        let place = (group.z * groups.x + group.x) * groups.y + group.y;
        class_slots[groups.z * groups.y * classes * (pass_.features + 1u) + place] = stamp_of(made);
    }
}

// Which of the four rows from `row` on hold data that counts: whatever stands in a row of weight 0, it adds nothing.
fn counts(row: u32, end: u32) -> vec4<bool> {
    let here = holds_data(row, end);
    if (HAS_ROW_WEIGHTS) {
        return here & (row_weights[row / 4u] > vec4(0.0));
    }
    return here;
}

// What four rows count for a class: its residuals, or whether they have it.
fn share(c: u32, k: u32) -> vec4<f32> {
    if (pass_.product >= 3u) {
        return select(vec4(0.0), vec4(1.0), labels[k] == vec4(f32(c)));
    }
    return residuals[c * pass_.stride + k];
}

// Four rows of a column: a feature, about the centres of the rows' classes or not, the 1 of the intercept, or nothing.
fn column_of(column: u32, k: u32, here: vec4<bool>, block: u32, classes: u32) -> vec4<f32> {
    if (column >= pass_.features) {
        return vec4(select(0.0, 1.0, column == pass_.features));
    }
    var x = vec4(0.0);
    if (HAS_LEVELS) {
        let stored = u32(sources[column]);
        x = of_level(features[stored * pass_.stride + k], sources[pass_.features + column]);
    } else {
        x = features[column * pass_.stride + k];
    }
    if (pass_.product == 3u) {
        let t = select(vec4(0.0), labels[k], here);
        let at = (vec4(block * classes) + vec4<u32>(t)) * pass_.features + column;
        x -= vec4(centres[at.x], centres[at.y], centres[at.z], centres[at.w]);
    }
    return x;
}
