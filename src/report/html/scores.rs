//! Which probabilities rows of either class get.

use maud::{Markup, html};

use super::svg::{Frame, Scale, figure, legend};
use super::text::{count, shortened};
use crate::profile::TwoClasses;

const HEIGHT: f64 = 300.0;

/// `classes` are the negative one and the positive one.
pub(super) fn scores(
    two: &TwoClasses,
    threshold: f64,
    classes: &[String; 2],
    positive: &str,
    is_weighted: bool,
) -> Markup {
    let rows = two.rows();
    // Pairs of bins: half as many are calmer to look at.
    let bins: Vec<[u64; 2]> =
        two.probabilities.chunks(2).map(|pair| [0, 1].map(|class| pair.iter().map(|bin| bin[class]).sum())).collect();
    let share = |class: usize, bin: &[u64; 2]| bin[class] as f64 / rows[class].max(1) as f64;
    let highest = bins.iter().flat_map(|bin| [share(0, bin), share(1, bin)]).fold(0.0, f64::max);
    let frame = Frame::new(
        Scale::linear(0.0, 1.0),
        Scale::linear(0.0, highest).nice(4),
        HEIGHT,
        &format!("predicted probability of {}", shortened(positive, 24)),
        "share of the class",
    );
    let steps = |class: usize| -> Vec<(f64, f64, f64)> {
        let edge = |index: usize| index as f64 / bins.len() as f64;
        bins.iter().enumerate().map(|(index, bin)| (edge(index), edge(index + 1), share(class, bin))).collect()
    };
    let top = frame.y.ends()[1];
    let marks = html! {
        (frame.stairs(&steps(0), "area b"))
        (frame.stairs(&steps(1), "area a"))
        (frame.line([(threshold, 0.0), (threshold, top)], "base"))
    };
    let names =
        [1, 0].map(|class: usize| format!("{} ({} rows)", shortened(&classes[class], 24), count(rows[class] as f64)));
    let picture = html! {
        (legend(&[("a", &names[0]), ("b", &names[1])]))
        (frame.picture("Probabilities by class", &marks))
    };
    let caption = html! { "Each class by itself; the less the two overlap, the better they are told apart. The dashed line is the threshold." @if is_weighted { " Every row counts once here." } };
    figure("Scores by class", &picture, &caption)
}
