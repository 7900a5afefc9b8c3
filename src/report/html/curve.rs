//! A model of one number: its curve over what was observed.

use maud::{Markup, html};

use super::axis::{Axis, at_means, of_weighted};
use super::svg::{Frame, LABEL_WIDTH, Scale, Tick, figure, legend};
use super::text::{count, fixed, name, shortened, significant};
use crate::logistic::sigmoid;
use crate::model::Model;
use crate::profile::Profile;

const HEIGHT: f64 = 300.0;

/// Room above 1 and below 0 for the rows themselves.
const MARGIN: f64 = 0.14;

/// The interval of 95 % for a share of `hits` in `rows`.
///
/// # Reference
/// Wilson (1927), "Probable inference, the law of succession, and statistical inference".
pub(super) fn wilson(hits: f64, rows: f64) -> [f64; 2] {
    const Z: f64 = 1.96;
    let p = hits / rows;
    let middle = p + Z * Z / (2.0 * rows);
    let half = Z * (p * (1.0 - p) / rows + Z * Z / (4.0 * rows * rows)).sqrt();
    [middle - half, middle + half].map(|x| x / (1.0 + Z * Z / rows))
}

pub(super) fn curve(model: &Model, axis: &Axis<'_>, profile: &Profile) -> Markup {
    let feature = axis.feature;
    let at_means = at_means(model)[0];
    let probability = |x: f64| sigmoid(at_means + feature.coefficients[0] * (x - feature.mean));
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|at| Tick { at, label: fixed(at, 2) }).to_vec();
    let x = Scale::linear(axis.low, axis.high);
    let frame = Frame::with_ticks(
        x,
        Scale::linear(-MARGIN, 1.0 + MARGIN),
        HEIGHT,
        [
            &axis.label(LABEL_WIDTH),
            &format!("probability of {}", shortened(&name(&model.label.two()[1].to_string()), 30)),
        ],
        [x.ticks(6), ticks],
    );
    let most = axis.most() as f64;
    let observed = axis
        .bins
        .iter()
        .filter(|bin| bin.total() > 0)
        .map(|bin| (f64::midpoint(bin.from, bin.to), bin.rows[1] as f64, bin.total() as f64));
    // Spread by the golden ratio: neighbours never lie on each other.
    let rows_of = |class: usize| {
        let base = if class == 1 { 1.025 } else { -MARGIN };
        let of_class = profile.points.iter().filter(move |point| point.slot == class);
        (0_u32..).zip(of_class).filter_map(move |(k, point)| {
            let jitter = (MARGIN - 0.025) * (f64::from(k) * 0.618_034).fract();
            (axis.low..=axis.high).contains(&point.values[0]).then_some((point.values[0], base + jitter))
        })
    };
    let marks = html! {
        g style="stroke-opacity:.45" {
            (frame.dots(rows_of(1), "dots a thin"))
            (frame.dots(rows_of(0), "dots b thin"))
        }
        @for (x, hits, rows) in observed.clone() {
            @let [low, high] = wilson(hits, rows);
            (frame.line([(x, low), (x, high)], "c"))
        }
        (frame.line((0..=100).map(|k| axis.low + (axis.high - axis.low) * f64::from(k) / 100.0).map(|x| (x, probability(x))), "curve a"))
        @for (x, hits, rows) in observed {
            (frame.dot(x, hits / rows, 2.0 + 4.0 * (rows / most).sqrt(), "dot c", &format!("{} of {} rows: {}", count(hits), count(rows), fixed(hits / rows, 4))))
        }
    };
    let half = feature.mean - at_means / feature.coefficients[0];
    let [negative, positive_class] = model.label.two().map(|class| shortened(&class.to_string(), 24));
    let picture = html! {
        (legend(&[("a", &format!("the model, and rows that are {positive_class}")), ("b", &format!("rows that are {negative}")), ("c", "observed shares")]))
        (frame.picture("The curve of the model over observed shares", &marks))
    };
    let caption = html! {
        "The curve is the model; each grey dot is the share that was observed in the rows of a bin, larger with more rows (up to "
        (count(most)) "), with its interval of 95 %."
        (of_weighted(model))
        @if (axis.low..=axis.high).contains(&half) { " The probability is one half at " (significant(half, 4)) "." }
    };
    figure("The curve and what was observed", &picture, &caption)
}

#[cfg(test)]
mod tests {
    use super::wilson;

    #[test]
    fn intervals_are_wilsons() {
        // Newcombe (1998), table I: 15 of 148.
        let [low, high] = wilson(15.0, 148.0);
        assert!((low - 0.0624).abs() < 1e-4 && (high - 0.1605).abs() < 1e-4, "{low} {high}");
    }
}
