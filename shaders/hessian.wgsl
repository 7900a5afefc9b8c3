// Hessian, gradient and loss of a chunk in one pass over its features, from the cached margins: the product of the
// left columns (S x_1 .. S x_d, S, r, loss; for the scatter of the gradients r^2 in place of S; all times the row
// weights if there are any) with the right ones (x_1 .. x_d, 1), of which the part on and below the
// diagonal is needed, in square pieces of EDGE x EDGE columns. A workgroup takes one
// Hessian block of rows (group.y) and one piece on or below the diagonal (group.x, from first_piece on, row by row: (0,0), (1,0),
// (1,1), ...); each of its 16 x 16 invocations holds two columns of both sides, 16 apart. An accumulator runs over PART
// rows, then joins a binary tree over the parts of the block. The slot has the pieces one after the other,
// each as 256 vec4s (a0 b0, a0 b1, a1 b0, a1 b1); the stamps of the workgroups stand behind all slots.

const EDGE: u32 = 32u; // columns of a piece
const STEP: u32 = 32u; // rows that a workgroup holds at once
const PART: u32 = 256u; // rows of an accumulator
const LEVELS: u32 = 8u; // of the tree over parts: 2^7 parts of a block at most

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> features: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> labels: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> row_weights: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> parameters: array<f32>;
@group(0) @binding(5) var<storage, read> margins: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> residuals: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> pieces: array<vec4<f32>>;

// [column][four rows], the rows of a column in an order of its own: place i has those with number i ^ (column % 8). Without
// it eight neighbouring columns of the same rows would stand in the same banks of the memory, and wait for each other.
var<workgroup> left: array<vec4<f32>, GROUP>;
var<workgroup> right: array<vec4<f32>, GROUP>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let piece = pass_.first_piece + group.x;
    var piece_row = 0u;
    var piece_column = 0u;
    if (pass_.product == 2u) {
        // The pieces on the diagonal, then those of the row of the intercept.
        let edges = pass_.features / EDGE + 1u;
        piece_row = min(piece, edges - 1u);
        piece_column = select(piece - edges, piece, piece < edges);
    } else {
        while ((piece_row + 1u) * (piece_row + 2u) / 2u <= piece) {
            piece_row += 1u;
        }
        piece_column = piece - piece_row * (piece_row + 1u) / 2u;
    }
    let first_row = (pass_.first_block + group.y) * pass_.block_rows;
    let last_row = min(first_row + pass_.block_rows, pass_.rows);
    // As a loader, an invocation has one column of each side and four rows; as an adder, two columns of each.
    let load_column = lane / 8u;
    let load_rows = (lane % 8u) ^ (load_column % 8u);
    let a = lane / 16u;
    let b = lane % 16u;
    var levels: array<vec4<f32>, LEVELS>;
    var part = 0u;
    for (var part_row = first_row; part_row < last_row; part_row += PART) {
        var sum = vec4(0.0);
        let part_end = min(part_row + PART, last_row);
        for (var step_row = part_row; step_row < part_end; step_row += STEP) {
            let row = step_row + 4u * load_rows;
            let here = holds_data(row, part_end);
            let k = row / 4u;
            left[lane] = vec4(0.0);
            right[lane] = vec4(0.0);
            if (row < part_end) {
                var w = vec4(1.0);
                if (HAS_ROW_WEIGHTS) {
                    w = select(vec4(0.0), row_weights[k], here);
                }
                let counts = counting(here, w);
                let column = select(vec4(0.0), left_column(piece_row * EDGE + load_column, k, counts), counts);
                left[lane] = weighed(w, column);
                right[lane] = select(vec4(0.0), right_column(piece_column * EDGE + load_column, k), here);
                if (piece_row * EDGE + load_column == pass_.features + 1u && piece_column == 0u) {
                    residuals[k] = column;
                }
            }
            workgroupBarrier();
            for (var i = 0u; i < 8u; i++) {
                let a0 = left[a * 8u + (i ^ (a % 8u))];
                let a1 = left[(a + 16u) * 8u + (i ^ (a % 8u))];
                let b0 = right[b * 8u + (i ^ (b % 8u))];
                let b1 = right[(b + 16u) * 8u + (i ^ (b % 8u))];
                sum += vec4(dot(a0, b0), dot(a0, b1), dot(a1, b0), dot(a1, b1));
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
    var total = vec4(0.0);
    for (var level = 0u; level < LEVELS; level++) {
        if (((part >> level) & 1u) == 1u) {
            total += levels[level];
        }
    }
    pieces[(group.y * groups.x + group.x) * GROUP + lane] = total;
    if (lane == 0u) {
        let of_product = mixed(made_of(pass_.stamp, margins[pass_.state].x), pass_.product);
        let made = mixed(mixed(of_product, pass_.first_block), pass_.first_piece);
        let place = group.y * groups.x + group.x;
        pieces[groups.y * groups.x * GROUP + place] = vec4(stamp_of(made));
        // Whoever writes the residuals of the first block; the border has no piece with them.
        let has_residuals = piece_row == (pass_.features + 1u) / EDGE && piece_column == 0u && pass_.product != 2u;
        if (has_residuals && group.y == 0u && pass_.first_block == 0u) {
            residuals[pass_.state] = vec4(stamp_of(made));
        }
    }
}

// Four rows of a right column: a feature, the 1 of the intercept, or nothing.
fn right_column(column: u32, k: u32) -> vec4<f32> {
    if (column < pass_.features) {
        if (HAS_LEVELS) {
            let stored = u32(parameters[pass_.features + column]);
            return of_level(features[stored * pass_.stride + k], parameters[2u * pass_.features + column]);
        }
        return features[column * pass_.stride + k];
    }
    return vec4(select(0.0, 1.0, column == pass_.features));
}

// Four rows of a left column: a right one times S, the residual, or the loss.
fn left_column(column: u32, k: u32, counts: vec4<bool>) -> vec4<f32> {
    let z = select(vec4(0.0), margins[k], counts);
    let t = select(vec4(0.0), labels[k], counts);
    if (column == pass_.features + 1u) {
        return residual_of(z, t);
    }
    if (column == pass_.features + 2u) {
        return loss_of(z, t);
    }
    var factor = logistic_curvature(z);
    if (pass_.product == 1u) {
        let r = residual_of(z, t);
        factor = r * r;
    }
    return factor * right_column(column, k);
}
