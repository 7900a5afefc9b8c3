//! What a line search saw.

use maud::{Markup, html};

use super::svg::{Frame, Px, Scale, figure, label, legend};
use super::text::{Figure, counted};
use super::{Search, Step};

const HEIGHT: f64 = 300.0;

/// Steps so many times as long as the one that was taken are not drawn: they would squeeze the rest.
const FARTHEST: f64 = 4.0;

/// Points of the curve between two steps that were tried.
const BETWEEN: usize = 24;

/// Length of the lines that show a slope, in units.
const TANGENT: f64 = 34.0;

/// A drop of this share of the value is more than rounding.
const VISIBLE: f64 = 1e-7;

/// A point of `phi`, with its slope.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Knot {
    step: f64,
    value: f64,
    slope: f64,
}

/// The cubic with the values and slopes of both knots, between them.
fn between(from: Knot, to: Knot, share: f64) -> (f64, f64) {
    let (t, width) = (share, to.step - from.step);
    let rest = 1.0 - t;
    let value = rest * rest * ((1.0 + 2.0 * t) * from.value + t * width * from.slope)
        + t * t * ((3.0 - 2.0 * t) * to.value - rest * width * to.slope);
    (from.step + t * width, value)
}

/// The iteration whose search tried most steps, the first of several; of those that gained more than rounding.
fn most_searched(steps: &[Step]) -> Option<(usize, &Search)> {
    let searches = || {
        let all =
            steps.iter().enumerate().filter_map(|(number, step)| Some((number, step.search.as_ref()?, step.value)));
        all.filter(|(_, search, _)| search.value.is_finite() && search.slope < 0.0 && search.taken > 0.0)
    };
    let is_visible = |(_, search, value): &(usize, &Search, f64)| search.value - value > VISIBLE * search.value.abs();
    let most = searches().filter(is_visible).min_by_key(|(_, search, _)| std::cmp::Reverse(search.tried.len()))?;
    Some((most.0, most.1))
}

pub(super) fn search(steps: &[Step], is_penalised: bool) -> Option<Markup> {
    let (number, search) = most_searched(steps)?;
    let tried: Vec<Knot> =
        search.tried.iter().map(|trial| Knot { step: trial.step, value: trial.value, slope: trial.slope }).collect();
    let is_drawn = |knot: &Knot| {
        knot.value.is_finite() && knot.slope.is_finite() && knot.step > 0.0 && knot.step <= FARTHEST * search.taken
    };
    let mut knots = vec![Knot { step: 0.0, value: search.value, slope: search.slope }];
    knots.extend(tried.iter().filter(|knot| is_drawn(knot)));
    knots.sort_by(|a, b| a.step.total_cmp(&b.step));
    knots.dedup_by_key(|knot| knot.step.to_bits());
    let curve: Vec<(f64, f64)> = knots
        .windows(2)
        .flat_map(|pair| (0..=BETWEEN).map(|k| between(pair[0], pair[1], k as f64 / BETWEEN as f64)))
        .collect();
    let [low, high] = [f64::min, f64::max].map(|of| curve.iter().map(|(_, value)| *value).reduce(of).unwrap_or(0.0));
    // Room for the slope at 0 to be seen below the curve, and for names above it.
    let y = Scale::linear(low - 0.15 * (high - low), high + 0.08 * (high - low));
    let x = Scale::linear(0.0, 1.06 * knots[knots.len() - 1].step);
    let name = if is_penalised { "mean loss and penalty, in nats" } else { "mean loss, in nats" };
    let frame = Frame::new(x, y, HEIGHT, &format!("step along the direction of iteration {number}"), name);
    let [left, top, right, bottom] = frame.room();
    let ends = |scale: &Scale| scale.ends()[1] - scale.ends()[0];
    let units = [(right - left) / ends(&frame.x), (bottom - top) / ends(&frame.y)];
    let tangent = |knot: &Knot| {
        let half = 0.5 * TANGENT / units[0].hypot(knot.slope * units[1]);
        [-half, half].map(|by| (knot.step + by, knot.value + by * knot.slope))
    };
    let falls = (knots[0].value - frame.y.ends()[0]) / -search.slope;
    let end = falls.min(frame.x.ends()[1]);
    // Numbers in the order of the trials; those of neighbours stand together.
    let mut names: Vec<(f64, f64, String)> = Vec::new();
    for (index, knot) in tried.iter().enumerate().filter(|(_, knot)| is_drawn(knot)) {
        let (x, y) = (frame.x.at(knot.step), frame.y.at(knot.value) - 10.0);
        match names.iter_mut().find(|(other, above, _)| (*other - x).abs() <= 26.0 && (*above - y).abs() <= 14.0) {
            Some((.., name)) => name.extend([", ", &(index + 1).to_string()]),
            None => names.push((x, y, (index + 1).to_string())),
        }
    }
    let marks = html! {
        (frame.line([(0.0, search.value), (end, search.value + end * search.slope)], "base"))
        (frame.line(curve.iter().copied(), "curve a"))
        @for knot in &knots[1..] { (frame.line(tangent(knot), "curve b")) }
        (frame.dot(0.0, search.value, 3.5, "dot c", "where the direction begins"))
        @for (index, knot) in tried.iter().enumerate().filter(|(_, knot)| is_drawn(knot)) {
            (frame.dot(knot.step, knot.value, 3.5, "dot a", &format!("step {} of those tried", index + 1)))
            @if knot.step.to_bits() == search.taken.to_bits() {
                circle class="ring" cx=(Px(frame.x.at(knot.step))) cy=(Px(frame.y.at(knot.value))) r="6.5" {}
            }
        }
        @for (x, y, name) in &names { (label(*x, *y, "strong middle halo", name)) }
    };
    let left_out = tried.iter().filter(|knot| !is_drawn(knot)).count();
    let picture = html! {
        (legend(&[("a", "the loss, interpolated"), ("b", "measured slopes")]))
        (frame.picture("Loss along a direction", &marks))
    };
    let place = |index: usize, part: &str| format!("history/{number}/search/tried/{index}/{part}");
    let caption = html! {
        @if tried.len() > 1 {
            "Iteration " (number) ", which tried most steps (" (tried.len()) "): the first is the predicted one, and each of the others follows from the slopes before it."
        } @else {
            "Iteration " (number) ": the predicted step was good enough, as in every other iteration, and nothing had to be searched."
        }
        " Dots and slopes are measured; the curve between them is interpolated. The dashed line is the slope at 0, the ring the step that was taken."
        @if left_out > 0 { " " (counted(left_out as u64, "step")) " that went much too far " (if left_out == 1 { "is" } else { "are" }) " not drawn." }
        details {
            summary { "The numbers" }
            table class="numbers" {
                tr { th scope="col" { "tried" } th scope="col" { "step" } th scope="col" { "loss" } th scope="col" { "slope" } }
                tr {
                    th scope="row" { "–" } td { "0" }
                    td { (Figure::new(format!("history/{number}/search/loss"), search.value, 6)) }
                    td { (Figure::new(format!("history/{number}/search/slope"), search.slope, 3)) }
                }
                @for (index, knot) in tried.iter().enumerate() {
                    tr {
                        th scope="row" { (index + 1) }
                        td { (Figure::new(place(index, "step"), knot.step, 4)) }
                        td { (Figure::new(place(index, "loss"), knot.value, 6)) }
                        td { (Figure::new(place(index, "slope"), knot.slope, 3)) }
                    }
                }
            }
        }
    };
    Some(figure("A line search", &picture, &caption))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::Trial;

    #[test]
    fn the_curve_is_exact_for_cubics() {
        let cubic = |a: f64| 2.0 - 3.0 * a + 0.5 * a * a + 0.25 * a * a * a;
        let knot = |a: f64| Knot { step: a, value: cubic(a), slope: -3.0 + a + 0.75 * a * a };
        for share in [0.0, 0.2, 0.5, 0.9, 1.0] {
            let (a, value) = between(knot(0.5), knot(3.0), share);
            assert!((a - 0.5 - 2.5 * share).abs() < 1e-12 && (value - cubic(a)).abs() < 1e-12, "{a}: {value}");
        }
    }

    #[test]
    fn the_iteration_with_most_trials_is_drawn() {
        let step = |value: f64, gained: f64, trials: usize| {
            let trial = Trial { step: 1.0, value, slope: 0.0 };
            let search = Search { value: value + gained, slope: -1.0, taken: 1.0, tried: vec![trial; trials] };
            Step { value, delta: None, gradient_norm: 1.0, passes: 1, point: Vec::new(), search: Some(search) }
        };
        let start = Step { search: None, ..step(1.0, 0.0, 0) };
        let number = |steps: &[Step]| most_searched(steps).map(|(number, _)| number);
        assert_eq!(number(std::slice::from_ref(&start)), None);
        assert_eq!(number(&[start.clone(), step(0.9, 0.1, 1), step(0.8, 0.1, 3), step(0.7, 0.1, 3)]), Some(2));
        assert_eq!(number(&[start.clone(), step(0.9, 0.1, 1), step(0.8, 0.1, 1)]), Some(1));
        // What gains next to nothing is noise to look at.
        assert_eq!(number(&[start, step(0.9, 0.1, 1), step(0.9, 1e-12, 9)]), Some(1));
    }
}
