// Constants, the pass description, the logistic functions and the tree reduction. No bindings here.
// Rows are handled four at a time: a vec4 holds the same quantity of four neighbouring rows.

const GROUP: u32 = 256u; // invocations of a workgroup
const TILE: u32 = 1024u; // rows that a group handles at once: four for each invocation

// Whether rows have weights, by which every sum over rows weighs its terms. A constant of the pipeline: where it is
// false, no kernel reads a row weight.
override HAS_ROW_WEIGHTS: bool = false;

// Whether rows have offsets, which are in fresh margins and in no direction margin.
override HAS_OFFSETS: bool = false;

// Whether some features are levels of categories. Then they are made of other columns than those of their own number:
// behind the `features` weights, the parameters have the column of each feature, and behind those the code of its level,
// 0 where the column is the feature itself. (Kernels for several classes have both in `sources`.)
override HAS_LEVELS: bool = false;

// What one dispatch over one chunk needs to know. Rows and blocks are those of the chunk.
struct Pass {
    rows: u32,            // rows that hold data
    stride: u32,          // vec4s from one column to the next
    features: u32,        // columns
    block_rows: u32,      // rows of a block; a workgroup takes one block
    reads_direction: u32, // 1: compute direction margins u = X p; 0: there is no direction, u = 0
    intercept: f32,       // the direction's intercept
    first_block: u32,     // block that the first workgroup takes (the Hessian's dispatches are several)
    product: u32,         // 0 Hessian, 1 scatter (r^2 for S), 2 diagonal and intercept; of classes: 3 about centres, 4 about 0
    margins: u32,         // margins of a row: one for each class but the reference
    hessian_rows: u32,    // rows of a Hessian block, where a kernel sums the columns of each class
    first_pair: u32,      // pair of margins that the first workgroup takes (the dispatches are several)
    probes: u32,          // steps to probe; 0: softmax_terms evaluates at the first and leaves residuals
    stamp: u32,           // of this dispatch, which no other has
    state: u32,           // vec4s of margins, direction margins or residuals before their stamp
    inputs: u32,          // elements of the parameters before their stamp
    others: u32,          // elements of the factors, or of the centres, before their stamp
    first_piece: u32,     // piece that the first workgroup takes (the dispatches of a large product are several)
    steps: vec4<f32>,     // up to four steps to probe; an evaluation uses the first
}

// What a dispatch leaves has a stamp behind it, made of the stamp of its pass and those of the buffers that it read. The
// host makes the same, and so knows of the sums that come back that every dispatch behind them ran, as it was described and
// on what it was meant to read. A stamp is a whole number that an f32 holds: its bits survive what a device does to floats.

// A hash and one more number that it depends on.
fn mixed(h: u32, x: u32) -> u32 {
    let m = (h ^ x) * 0x9e3779b1u;
    return m ^ (m >> 15u);
}

// A hash and the stamp of one more buffer that was read.
fn made_of(h: u32, stamp: f32) -> u32 {
    return mixed(h, u32(stamp));
}

fn stamp_of(h: u32) -> f32 {
    return f32((h >> 8u) | 1u);
}

// L = 1 / (1 + exp(-z)), by the branch whose exponential cannot overflow: e = exp(-|z|), which whoever needs several of
// these functions of the same z makes once.
fn sigmoid_by(e: vec4<f32>, z: vec4<f32>) -> vec4<f32> {
    return select(e, vec4(1.0), z >= vec4(0.0)) / (1.0 + e);
}

// ln(1 + e) for e in (0, 1]. WGSL has no log1p: ln(1 + e) = 2 artanh(w), w = e / (2 + e) in (0, 1/3], whose series to
// w^15 leaves less than 1e-9 of it and keeps the relative precision of a tiny e.
fn log_1p(e: vec4<f32>) -> vec4<f32> {
    let w = e / (2.0 + e);
    let v = w * w;
    let series = 1.0 + v * (1.0 / 3.0 + v * (1.0 / 5.0 + v * (1.0 / 7.0 + v * (1.0 / 9.0
        + v * (1.0 / 11.0 + v * (1.0 / 13.0 + v * (1.0 / 15.0)))))));
    return 2.0 * w * series;
}

// ln(1 + exp(z)), from e = exp(-|z|).
fn softplus_by(e: vec4<f32>, z: vec4<f32>) -> vec4<f32> {
    return max(z, vec4(0.0)) + log_1p(e);
}

// S = L (1 - L) = e / (1 + e)^2, never as a difference.
fn curvature_by(e: vec4<f32>) -> vec4<f32> {
    let whole = 1.0 / (1.0 + e);
    return e * whole * whole;
}

fn logistic_curvature(z: vec4<f32>) -> vec4<f32> {
    return curvature_by(exp(-abs(z)));
}

// L - t for a label t in {0, 1}: -s sigmoid(-s z) with s = 2t - 1, without the cancellation.
fn residual_by(e: vec4<f32>, z: vec4<f32>, t: vec4<f32>) -> vec4<f32> {
    let s = 2.0 * t - 1.0;
    return -s * sigmoid_by(e, -s * z);
}

fn residual_of(z: vec4<f32>, t: vec4<f32>) -> vec4<f32> {
    return residual_by(exp(-abs(z)), z, t);
}

// The cross-entropy softplus(z) - t z = softplus(-s z).
fn loss_by(e: vec4<f32>, z: vec4<f32>, t: vec4<f32>) -> vec4<f32> {
    return softplus_by(e, (1.0 - 2.0 * t) * z);
}

fn loss_of(z: vec4<f32>, t: vec4<f32>) -> vec4<f32> {
    return loss_by(exp(-abs(z)), z, t);
}

// Which of the four rows from `first` on hold data.
fn holds_data(first: u32, rows: u32) -> vec4<bool> {
    return vec4(first) + vec4(0u, 1u, 2u, 3u) < vec4(rows);
}

fn weigh(w: vec4<f32>) -> vec4<bool> {
    return w > vec4(0.0);
}

// Which rows that hold data count, by their weights. What goes into a term is masked by this, not what comes out: a device
// that compiles with fast math may take it that there is no NaN and no infinity, and then 0 times one of them is anything.
fn counting(here: vec4<bool>, w: vec4<f32>) -> vec4<bool> {
    if (HAS_ROW_WEIGHTS) {
        return here & weigh(w);
    }
    return here;
}

// Terms of four rows times their weights. What does not count is 0 already; the choice keeps compilers from fusing the
// product into the sum behind it, which would round in another way.
fn weighed(w: vec4<f32>, v: vec4<f32>) -> vec4<f32> {
    if (HAS_ROW_WEIGHTS) {
        return select(vec4(0.0), w * v, weigh(w));
    }
    return v;
}

// Four rows of a feature, from its column: where the code is that of its level, or the values themselves.
fn of_level(x: vec4<f32>, code: f32) -> vec4<f32> {
    return select(x, select(vec4(0.0), vec4(1.0), x == vec4(code)), code > 0.0);
}

// A number in one place of four. Added to four sums it changes one, where an index that varies, as the target of a store, is
// refused by a compiler of HLSL.
fn in_place(p: u32, v: f32) -> vec4<f32> {
    return select(vec4(0.0), vec4(v), vec4(p) == vec4(0u, 1u, 2u, 3u));
}

fn sum_of_rows(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

var<workgroup> scratch: array<vec4<f32>, GROUP>;

// The one tree reduction: the sum of `value` over the invocations of each `span` neighbouring ones that are
// `stride` apart (powers of two), returned to all of them. All invocations of the workgroup must call it.
fn tree_sum(lane: u32, span: u32, stride: u32, value: vec4<f32>) -> vec4<f32> {
    scratch[lane] = value;
    workgroupBarrier();
    let place = lane % span;
    for (var half = span / 2u; half >= stride; half = half / 2u) {
        if (place < half) {
            scratch[lane] = scratch[lane] + scratch[lane + half];
        }
        workgroupBarrier();
    }
    let sum = scratch[lane - place + lane % stride];
    workgroupBarrier();
    return sum;
}
