// Sums of the bits of columns, each value times an odd number that belongs to its row, modulo 2^32: whole numbers, so that
// they are exact and any order gives the same, and bits of a float, so that no device may round or flush them. A piece that
// never came, came to another place or is of an older column changes them.
// A workgroup takes `block_rows` rows (group.x) of one column (group.z, group.y: a dispatch has no more than 65535 of
// either) and leaves one sum, [columns][group.x].

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> columns: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> checksums: array<u32>;

var<workgroup> parts: array<u32, GROUP>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = group.z * groups.y + group.y;
    let first_row = group.x * pass_.block_rows;
    let last_row = min(first_row + pass_.block_rows, pass_.rows);
    var sum = vec4(0u);
    if (column < pass_.features) {
        for (var row = first_row + 4u * lane; row < last_row; row += TILE) {
            let bits = columns[column * pass_.stride + row / 4u];
            sum += select(vec4(0u), bits, holds_data(row, last_row)) * factor_of(vec4(row) + vec4(0u, 1u, 2u, 3u));
        }
    }
    parts[lane] = (sum.x + sum.y) + (sum.z + sum.w);
    workgroupBarrier();
    if (lane == 0u) {
        var total = 0u;
        for (var i = 0u; i < GROUP; i++) {
            total += parts[i];
        }
        checksums[column * groups.x + group.x] = total;
    }
}

// The odd numbers of four rows.
fn factor_of(row: vec4<u32>) -> vec4<u32> {
    let h = (row + 1u) * 0x9e3779b1u;
    return (h ^ (h >> vec4(16u))) | vec4(1u);
}
