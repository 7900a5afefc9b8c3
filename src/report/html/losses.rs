//! What a row costs, over the probability of the class that it was.

use maud::{Markup, html};

use super::svg::{Frame, Scale, Tick, figure, legend};
use super::text::{count, fixed, percent};
use crate::profile::Profile;

const HEIGHT: f64 = 190.0;

/// The lowest probability to which the curve is drawn.
const LOWEST: f64 = 0.01;

pub(super) fn losses(profile: &Profile) -> Markup {
    let x = Scale::linear(0.0, 1.0);
    let rows = profile.rows;
    let loss: f64 = profile.own.iter().map(|own| own.loss()).sum();
    let shares = |of: &dyn Fn(usize) -> f64| -> Vec<(f64, f64, f64)> {
        let edge = |bin: usize| bin as f64 / profile.own.len() as f64;
        (0..profile.own.len()).map(|bin| (edge(bin), edge(bin + 1), of(bin))).collect()
    };
    let of_rows = shares(&|bin| profile.own[bin].rows as f64 / rows.max(1) as f64);
    let of_loss = shares(&|bin| if loss > 0.0 { profile.own[bin].loss() / loss } else { 0.0 });
    let highest = of_rows.iter().chain(&of_loss).map(|(.., share)| *share).fold(0.0, f64::max);
    let below = Frame::new(
        x,
        Scale::linear(0.0, highest).nice(3),
        HEIGHT,
        "probability of the class that it was",
        "share of all",
    );
    // As many digits as below, so that both pictures begin at the same place.
    let digits = below.y.ticks(4).iter().map(|tick| tick.label.chars().count()).max().unwrap_or(3);
    let costs = Scale::linear(0.0, 5.0);
    let ticks = costs
        .ticks(5)
        .into_iter()
        .map(|tick| Tick { label: fixed(tick.at, digits.saturating_sub(2)), ..tick })
        .collect();
    let names = ["", "cost of a row, in nats"];
    let curve = Frame::with_ticks(x, costs, HEIGHT, names, [x.ticks(5), ticks]);
    let cost = html! {
        (curve.line((0..=100).map(|k| LOWEST + (1.0 - LOWEST) * (f64::from(k) / 100.0).powi(2)).map(|p| (p, -p.ln())), "curve a"))
    };
    let bars = html! {
        (below.stairs(&of_rows, "area a"))
        (below.stairs(&of_loss, "area b"))
    };
    let half = profile.own.len() / 2;
    let [rows_below, loss_below] =
        [&of_rows, &of_loss].map(|shares| shares[..half].iter().map(|(.., share)| share).sum::<f64>());
    let picture = html! {
        (curve.picture("Cost over the probability", &cost))
        (legend(&[("a", "share of the rows"), ("b", "share of the loss")]))
        (below.picture("Rows and loss by the probability of the class", &bars))
    };
    let caption = html! {
        "Above, what a row adds to the loss: −log(p), where p is the probability of the class that it was. Below, where "
        (count(rows as f64)) " rows are, and where the loss comes from: " (percent(rows_below))
        " of the rows had p below one half, and make " (percent(loss_below)) " of it."
    };
    figure("What a row costs", &picture, &caption)
}
