// Direction margins u_m = X p_m + b_m of a softmax, or the low halves of fresh margins with the offsets, for eight margins at a time
// (group.x): an invocation holds four rows and reads each column once. A workgroup takes one tile of rows; nothing is
// summed over rows, so tiles are no blocks.
// The parameters are [eights of margins][features, then the intercepts][8], so that a column's are two vec4s.

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> features: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> parameters: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> sources: array<f32>;
@group(0) @binding(4) var<storage, read> offsets: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> direction_margins: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y * TILE + 4u * lane;
    let here = holds_data(row, pass_.rows);
    if (!here.x) {
        return;
    }
    let k = row / 4u;
    let first = 2u * group.x * (pass_.features + 1u);
    var low = columns_of(vec4(1.0), parameters[first + 2u * pass_.features]);
    var high = columns_of(vec4(1.0), parameters[first + 2u * pass_.features + 1u]);
    let has_high = 8u * group.x + 4u < pass_.margins;
    for (var j = 0u; j < pass_.features; j++) {
        var x = vec4(0.0);
        if (HAS_LEVELS) {
            let column = u32(sources[j]);
            x = of_level(features[column * pass_.stride + k], sources[pass_.features + j]);
        } else {
            x = features[j * pass_.stride + k];
        }
        low += columns_of(x, parameters[first + 2u * j]);
        if (has_high) {
            high += columns_of(x, parameters[first + 2u * j + 1u]);
        }
    }
    // One by one: an index that varies would take the accumulators out of their registers.
    store(8u * group.x, k, low[0], here);
    store(8u * group.x + 1u, k, low[1], here);
    store(8u * group.x + 2u, k, low[2], here);
    store(8u * group.x + 3u, k, low[3], here);
    store(8u * group.x + 4u, k, high[0], here);
    store(8u * group.x + 5u, k, high[1], here);
    store(8u * group.x + 6u, k, high[2], here);
    store(8u * group.x + 7u, k, high[3], here);
    if (row == 0u && group.x == 0u) {
        direction_margins[pass_.state] = vec4(stamp_of(made_of(pass_.stamp, parameters[pass_.inputs].x)));
    }
}

// Four rows times the parameters of four margins.
fn columns_of(x: vec4<f32>, p: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(x * p.x, x * p.y, x * p.z, x * p.w);
}

fn store(m: u32, k: u32, u: vec4<f32>, here: vec4<bool>) {
    if (m < pass_.margins) {
        var z = u;
        if (HAS_OFFSETS) {
            // Of a direction they are no part.
            z += select(offsets[m * pass_.stride + k], vec4(0.0), pass_.reads_direction == 1u);
        }
        direction_margins[m * pass_.stride + k] = select(vec4(0.0), z, here);
    }
}
