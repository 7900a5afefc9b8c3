// Margins z = o + X w + b afresh, with the offsets o if rows have them. A point of the host is split into two f32 halves; this dispatch takes the
// low one, and the evaluation adds the high one as its direction: in one dispatch a compiler could fold
// x * high + x * low back into a single product.

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> features: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> parameters: array<f32>;
@group(0) @binding(3) var<storage, read> offsets: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> margins: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_row = group.x * pass_.block_rows;
    let last_row = min(first_row + pass_.block_rows, pass_.rows);
    for (var row = first_row + 4u * lane; row < last_row; row += TILE) {
        let k = row / 4u;
        var z = vec4(pass_.intercept);
        for (var j = 0u; j < pass_.features; j++) {
            var x = vec4(0.0);
            if (HAS_LEVELS) {
                let column = u32(parameters[pass_.features + j]);
                x = of_level(features[column * pass_.stride + k], parameters[2u * pass_.features + j]);
            } else {
                x = features[j * pass_.stride + k];
            }
            z += parameters[j] * x;
        }
        if (HAS_OFFSETS) {
            z += offsets[k];
        }
        margins[k] = select(vec4(0.0), z, holds_data(row, last_row));
    }
    if (group.x == 0u && lane == 0u) {
        margins[pass_.state] = vec4(stamp_of(made_of(pass_.stamp, parameters[pass_.inputs])));
    }
}
