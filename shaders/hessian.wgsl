// Hessian, gradient and loss of a chunk in one pass over its features, from the cached margins: the product (see `product`) of
// the left columns (S x_1 .. S x_d, S, r, loss; for the scatter of the gradients r^2 in place of S; all times the row
// weights if there are any) with the right ones (x_1 .. x_d, 1). Leaves the residuals.

@group(0) @binding(0) var<uniform> pass_: Pass;
@group(0) @binding(1) var<storage, read> features: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> labels: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> row_weights: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> parameters: array<f32>;
@group(0) @binding(5) var<storage, read> margins: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> residuals: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> pieces: array<vec4<f32>>;

// The pieces on the diagonal, then those of the row of the intercept; or all on and below the diagonal.
fn piece_of(piece: u32) -> vec2<u32> {
    if (pass_.product == 2u) {
        let edges = pass_.features / EDGE + 1u;
        return vec2(min(piece, edges - 1u), select(piece - edges, piece, piece < edges));
    }
    return piece_below(piece);
}

// Four rows of a left column, times the row weights, and of a right one.
fn columns_of(columns: vec2<u32>, k: u32, here: vec4<bool>, group: vec3<u32>) -> array<vec4<f32>, 2> {
    var w = vec4(1.0);
    if (HAS_ROW_WEIGHTS) {
        w = select(vec4(0.0), row_weights[k], here);
    }
    let counts = counting(here, w);
    let column = select(vec4(0.0), left_column(columns.x, k, counts), counts);
    // By the invocations of the piece that has the first right columns.
    if (columns.x == pass_.features + 1u && columns.y < EDGE) {
        residuals[k] = column;
    }
    return array(weighed(w, column), select(vec4(0.0), right_column(columns.y, k), here));
}

// What the sums of a workgroup are made of. Whoever writes the residuals of the first block leaves their stamp; the border
// has no piece with them.
fn made_by(piece: vec2<u32>, group: vec3<u32>) -> u32 {
    let of_product = mixed(made_of(pass_.stamp, margins[pass_.state].x), pass_.product);
    let made = mixed(mixed(of_product, pass_.first_block), pass_.first_piece);
    let has_residuals = piece.x == (pass_.features + 1u) / EDGE && piece.y == 0u && pass_.product != 2u;
    if (has_residuals && group.y == 0u && pass_.first_block == 0u) {
        residuals[pass_.state] = vec4(stamp_of(made));
    }
    return made;
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
