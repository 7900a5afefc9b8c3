// Accepts a step: margins z += step u. Never touches the features. With several margins a row, group.y is the margin.

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> direction_margins: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> margins: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_row = group.x * pass_.block_rows;
    let last_row = min(first_row + pass_.block_rows, pass_.rows);
    for (var row = first_row + 4u * lane; row < last_row; row += TILE) {
        let k = group.y * pass_.stride + row / 4u;
        margins[k] += pass_.steps.x * direction_margins[k];
    }
    if (group.x == 0u && group.y == 0u && lane == 0u) {
        let before = made_of(pass_.stamp, margins[pass_.state].x);
        margins[pass_.state] = vec4(stamp_of(made_of(before, direction_margins[pass_.state].x)));
    }
}
