// Weighted Gram matrices X'FX, x extended by 1, as products (see `product`): for the factors F of each pair of margins (group.z),
// or for the row weights and with x about the centres of the rows' classes in this block.

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> features: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> labels: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> row_weights: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> sources: array<f32>;
@group(0) @binding(5) var<storage, read> factors: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> centres: array<f32>;
@group(0) @binding(7) var<storage, read_write> pieces: array<vec4<f32>>;

fn piece_of(piece: u32) -> vec2<u32> {
    return piece_below(piece);
}

// Four rows of a left column, times what weighs the rows, and of a right one.
fn columns_of(columns: vec2<u32>, k: u32, here: vec4<bool>, group: vec3<u32>) -> array<vec4<f32>, 2> {
    let t = select(vec4(0.0), labels[k], here);
    let column = select(vec4(0.0), column_of(columns.x, k, t, group.y), here);
    return array(
        times_factor(group.z, k, here, column),
        select(vec4(0.0), column_of(columns.y, k, t, group.y), here),
    );
}

// What the sums of a workgroup are made of.
fn made_by(piece: vec2<u32>, group: vec3<u32>) -> u32 {
    let of_blocks = mixed(mixed(pass_.stamp, pass_.product), pass_.first_block);
    let made = mixed(mixed(of_blocks, pass_.first_pair), pass_.first_piece);
    if (pass_.product < 3u) {
        return made_of(made, factors[pass_.others].x);
    }
    return made_of(made, centres[pass_.others]);
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
