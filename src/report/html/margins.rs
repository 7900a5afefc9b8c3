//! What a row costs, over its margin, and where the rows of the data are.

use maud::{Markup, html};

use super::svg::{Frame, Scale, figure, legend};
use super::text::{count, percent, shortened};
use crate::logistic::softplus;
use crate::profile::TwoClasses;

const HEIGHT: f64 = 190.0;

/// Bars of the distribution, about.
const BARS: usize = 48;
/// Where probabilities are 1e-4: farther away the curves are straight.
const FARTHEST: f64 = 12.0;

/// `classes` are the negative one and the positive one.
pub(super) fn margins(two: &TwoClasses, classes: &[String; 2], is_weighted: bool) -> Markup {
    let rows = two.rows();
    let total = rows[0] + rows[1];
    // All but two in a thousand of the rows, the same on both sides, so that the curves can be compared.
    let mut farthest = 1.0_f64;
    let mut so_far = 0;
    for (low, high) in
        two.margins.bins().rev().zip(two.margins.bins()).map(|(a, b)| (b, a)).take(two.margins.bins().len() / 2)
    {
        so_far += low.2.iter().chain(&high.2).sum::<u64>();
        if so_far as f64 > 0.002 * total as f64 {
            farthest = high.1;
            break;
        }
    }
    let farthest = farthest.clamp(1.0, FARTHEST);
    let x = Scale::linear(-farthest, farthest);
    let names = [1, 0].map(|class: usize| shortened(&classes[class], 24));

    let y = Scale::linear(0.0, softplus(farthest)).nice(4);
    let mut curves = Frame::new(x, y, HEIGHT, "", "cost of a row, in nats");
    let over = |cost: &dyn Fn(f64) -> f64| {
        let points: Vec<(f64, f64)> =
            (0..=80).map(|k| -farthest + farthest * f64::from(k) / 40.0).map(|z| (z, cost(z))).collect();
        points
    };
    // Neighbouring bins together, so that there are about as many as bars.
    let bins: Vec<_> = two.margins.bins().collect();
    let together = ((2.0 * farthest / two.margins.width() / BARS as f64).round() as usize).max(1);
    let half = bins.len() / 2;
    let first = half % together;
    let bars: Vec<(f64, f64, [u64; 2])> = bins[first..]
        .chunks(together)
        .map(|chunk| {
            let sum = |class: usize| chunk.iter().map(|(.., counts)| counts[class]).sum();
            (chunk[0].0, chunk[chunk.len() - 1].1, [sum(0), sum(1)])
        })
        .filter(|(from, to, _)| *to > -farthest && *from < farthest)
        .collect();
    let inside: u64 = bars.iter().map(|(.., counts)| counts[0] + counts[1]).sum();
    let share = |class: usize, counts: &[u64; 2]| counts[class] as f64 / total.max(1) as f64;
    let highest = bars.iter().flat_map(|(.., counts)| [share(0, counts), share(1, counts)]).fold(0.0, f64::max);
    let mut below = Frame::new(
        x,
        Scale::linear(0.0, highest).nice(3),
        HEIGHT,
        "margin: the predicted log odds",
        "share of all rows",
    );
    curves.align(&mut below);
    let costs = html! {
        (curves.line([(0.0, 0.0), (0.0, curves.y.ends()[1])], "base"))
        (curves.line(over(&|z| softplus(-z)), "curve a"))
        (curves.line(over(&softplus), "curve b"))
    };
    let steps = |class: usize| -> Vec<(f64, f64, f64)> {
        bars.iter().map(|(from, to, counts)| (from.max(-farthest), to.min(farthest), share(class, counts))).collect()
    };
    let rows_below = html! {
        (below.stairs(&steps(0), "area b"))
        (below.stairs(&steps(1), "area a"))
        (below.line([(0.0, 0.0), (0.0, below.y.ends()[1])], "base"))
    };
    let beyond = total - inside;
    let (a, b) = (format!("{}: −log(h)", names[0]), format!("{}: −log(1 − h)", names[1]));
    let picture = html! {
        (legend(&[("a", &a), ("b", &b)]))
        (curves.picture("Cost over the margin", &costs))
        (below.picture("Rows by their margin", &rows_below))
    };
    let caption = html! {
        "Above, what a row adds to the loss, by its class and its margin, where h is the predicted probability; below, the margins of "
        (count(total as f64)) " rows"
        @if is_weighted { ", each counted once" }
        @if beyond > 0 { " (" (count(beyond as f64)) ", " (percent(beyond as f64 / total as f64)) ", lie farther out)" }
        ". Training moves each colour to where its own curve is low."
    };
    figure("What a row costs", &picture, &caption)
}
