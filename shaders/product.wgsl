// A product of columns with columns of a chunk, in square pieces of EDGE x EDGE columns, of which those on and below the
// diagonal are needed. What the columns are, the kernel says that this text is a part of.
//
// A workgroup takes one Hessian block of rows (group.y), one piece (group.x, from first_piece on, row by row: (0,0), (1,0),
// (1,1), ...) and what else its kernel tells apart (group.z). Each of its 16 x 16 invocations holds two columns of both sides,
// 16 apart. An accumulator runs over PART rows, then joins a binary tree over the parts of the block. The slot has the pieces
// of each group.z one after the other, each as 256 vec4s (a0 b0, a0 b1, a1 b0, a1 b1); the stamps of the workgroups stand
// behind all slots.

const EDGE: u32 = 32u; // columns of a piece
const STEP: u32 = 32u; // rows that a workgroup holds at once
const PART: u32 = 256u; // rows of an accumulator
const LEVELS: u32 = 8u; // of the tree over parts: 2^7 parts of a block at most

// [column][four rows], the rows of a column in an order of its own: place i has those with number i ^ (column % 8). Without
// it eight neighbouring columns of the same rows would stand in the same banks of the memory, and wait for each other.
var<workgroup> left: array<vec4<f32>, GROUP>;
var<workgroup> right: array<vec4<f32>, GROUP>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let piece = piece_of(pass_.first_piece + group.x);
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
            left[lane] = vec4(0.0);
            right[lane] = vec4(0.0);
            if (row < part_end) {
                let columns = columns_of(piece * EDGE + load_column, row / 4u, holds_data(row, part_end), group);
                left[lane] = columns[0];
                right[lane] = columns[1];
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
        let made = made_by(piece, group);
        pieces[groups.x * groups.y * groups.z * GROUP + place] = vec4(stamp_of(made));
    }
}

// The row and the column of a piece among those on and below the diagonal.
fn piece_below(piece: u32) -> vec2<u32> {
    var row = 0u;
    while ((row + 1u) * (row + 2u) / 2u <= piece) {
        row += 1u;
    }
    return vec2(row, piece - row * (row + 1u) / 2u);
}
