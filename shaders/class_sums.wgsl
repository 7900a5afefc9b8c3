// Sums of the columns and of 1 over the rows of a Hessian block for each class, with the row weights if there are any:
// times the class's residuals, the gradient of a softmax; or over the rows that have the class, about the centres of
// their class in this block, or about 0. A workgroup takes one block (group.x) and one piece of EDGE columns and EIGHT
// classes (group.y), one pair of them for each invocation. An accumulator runs over PART rows, then joins a binary tree
// over the parts of the block. A slot is [classes][features, then the 1].

const EDGE: u32 = 32u; // columns of a piece
const EIGHT: u32 = 8u; // classes of a piece
const STEP: u32 = 32u; // rows that a workgroup holds at once
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

// [column][four rows], [class][four rows]
var<workgroup> left: array<vec4<f32>, GROUP>;
var<workgroup> right: array<vec4<f32>, GROUP>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let edges = pass_.features / EDGE + 1u;
    let first_column = group.y % edges * EDGE;
    let first_class = group.y / edges * EIGHT;
    let classes = pass_.margins + select(0u, 1u, pass_.product >= 3u);
    let first_row = (pass_.first_block + group.x) * pass_.hessian_rows;
    let last_row = min(first_row + pass_.hessian_rows, pass_.rows);
    // As a loader, an invocation has one column and four rows, and one of the first also a class; as an adder, a column
    // and a class.
    let of_eight = lane / EIGHT;
    let in_eight = lane % EIGHT;
    var levels: array<f32, LEVELS>;
    var part = 0u;
    for (var part_row = first_row; part_row < last_row; part_row += PART) {
        var sum = 0.0;
        let part_end = min(part_row + PART, last_row);
        for (var step_row = part_row; step_row < part_end; step_row += STEP) {
            let row = step_row + 4u * in_eight;
            let here = holds_data(row, part_end);
            left[lane] = vec4(0.0);
            right[lane] = vec4(0.0);
            if (row < part_end) {
                let k = row / 4u;
                let t = select(vec4(0.0), labels[k], here);
                left[lane] = select(vec4(0.0), column_of(first_column + of_eight, k, t, group.x, classes), here);
                if (first_class + of_eight < classes && of_eight < EIGHT) {
                    var w = vec4(1.0);
                    if (HAS_ROW_WEIGHTS) {
                        w = select(vec4(0.0), row_weights[k], here);
                    }
                    right[lane] = weighed(w, select(vec4(0.0), share(first_class + of_eight, k, t), here));
                }
            }
            workgroupBarrier();
            for (var i = 0u; i < 8u; i++) {
                sum += dot(left[of_eight * 8u + i], right[in_eight * 8u + i]);
            }
            workgroupBarrier();
        }
        // A binary counter: the part joins every complete subtree of its own size.
        var level = 0u;
        while (((part >> level) & 1u) == 1u) {
            sum += levels[level];
            level += 1u;
        }
        levels[level] = sum;
        part += 1u;
    }
    // What is left are the subtrees of the bits of `part`, the smallest first.
    var total = 0.0;
    for (var level = 0u; level < LEVELS; level++) {
        if (((part >> level) & 1u) == 1u) {
            total += levels[level];
        }
    }
    if (first_column + of_eight <= pass_.features && first_class + in_eight < classes) {
        class_slots[(group.x * classes + first_class + in_eight) * (pass_.features + 1u) + first_column + of_eight] = total;
    }
}

// What four rows count for a class: its residuals, or whether they have it.
fn share(c: u32, k: u32, t: vec4<f32>) -> vec4<f32> {
    if (pass_.product >= 3u) {
        return select(vec4(0.0), vec4(1.0), t == vec4(f32(c)));
    }
    return residuals[c * pass_.stride + k];
}

// Four rows of a column: a feature, about the centres of the rows' classes or not, the 1 of the intercept, or nothing.
fn column_of(column: u32, k: u32, t: vec4<f32>, block: u32, classes: u32) -> vec4<f32> {
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
        let at = (vec4(block * classes) + vec4<u32>(t)) * pass_.features + column;
        x -= vec4(centres[at.x], centres[at.y], centres[at.z], centres[at.w]);
    }
    return x;
}
