// Weighted Gram matrices X'FX, x extended by 1, for the factors F of each pair of margins (group.z), or for the row weights and with x
// about the centres of the rows' classes in this block. In square pieces of EDGE x EDGE columns, as `hessian` makes them:
// a workgroup takes one Hessian block of rows (group.y) and one piece (group.x, from first_piece on) on or below the diagonal; each of its
// 16 x 16 invocations holds two columns of both sides, 16 apart. An accumulator runs over PART rows, then joins
// a binary tree over the parts of the block. The slot has the pieces of each pair one after the other, each as 256 vec4s
// (a0 b0, a0 b1, a1 b0, a1 b1); the stamps of the workgroups stand behind all slots.

const EDGE: u32 = 32u; // columns of a piece
const STEP: u32 = 32u; // rows that a workgroup holds at once
const PART: u32 = 256u; // rows of an accumulator
const LEVELS: u32 = 8u; // of the tree over parts: 2^7 parts of a block at most

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> features: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> labels: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> row_weights: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> sources: array<f32>;
@group(0) @binding(5) var<storage, read> factors: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> centres: array<f32>;
@group(0) @binding(7) var<storage, read_write> pieces: array<vec4<f32>>;

// [column][four rows], the rows of a column in an order of its own: place i has those with number i ^ (column % 8). Without
// it eight neighbouring columns of the same rows would stand in the same banks of the memory, and wait for each other.
var<workgroup> left: array<vec4<f32>, GROUP>;
var<workgroup> right: array<vec4<f32>, GROUP>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let piece = pass_.first_piece + group.x;
    var piece_row = 0u;
    while ((piece_row + 1u) * (piece_row + 2u) / 2u <= piece) {
        piece_row += 1u;
    }
    let piece_column = piece - piece_row * (piece_row + 1u) / 2u;
    let first_row = (pass_.first_block + group.y) * pass_.hessian_rows;
    let last_row = min(first_row + pass_.hessian_rows, pass_.rows);
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
            left[lane] = vec4(0.0);
            right[lane] = vec4(0.0);
            if (row < part_end) {
                let k = row / 4u;
                let t = select(vec4(0.0), labels[k], here);
                let column = select(vec4(0.0), column_of(piece_row * EDGE + load_column, k, t, group.y), here);
                left[lane] = times_factor(group.z, k, here, column);
                right[lane] = select(vec4(0.0), column_of(piece_column * EDGE + load_column, k, t, group.y), here);
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
    let place = (group.y * groups.z + group.z) * groups.x + group.x;
    pieces[place * GROUP + lane] = total;
    if (lane == 0u) {
        let of_blocks = mixed(mixed(pass_.stamp, pass_.product), pass_.first_block);
        var made = mixed(mixed(of_blocks, pass_.first_pair), pass_.first_piece);
        if (pass_.product < 3u) {
            made = made_of(made, factors[pass_.others].x);
        } else {
            made = made_of(made, centres[pass_.others]);
        }
        pieces[groups.y * groups.x * groups.z * GROUP + place] = vec4(stamp_of(made));
    }
}

// Four rows of a column times what their pair of margins has, which is weighed, or times the row weights.
fn times_factor(pair: u32, k: u32, here: vec4<bool>, column: vec4<f32>) -> vec4<f32> {
    if (pass_.product < 3u) {
        return select(vec4(0.0), factors[pair * pass_.stride + k], here) * column;
    }
    var w = vec4(1.0);
    if (HAS_ROW_WEIGHTS) {
        w = select(vec4(0.0), row_weights[k], here);
    }
    return weighed(w, select(vec4(0.0), column, counting(here, w)));
}

// Four rows of a column: a feature, about the centres of the rows' classes or not, the 1 of the intercept, or nothing.
fn column_of(column: u32, k: u32, t: vec4<f32>, block: u32) -> vec4<f32> {
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
        let at = (vec4(block * (pass_.margins + 1u)) + vec4<u32>(t)) * pass_.features + column;
        x -= vec4(centres[at.x], centres[at.y], centres[at.z], centres[at.w]);
    }
    return x;
}
