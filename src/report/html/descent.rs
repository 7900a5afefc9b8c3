//! The way of the solver.

use maud::{Markup, html};

use super::Step;
use super::svg::{Frame, Scale, Tick, figure};
use super::text::{counted, significant};

const HEIGHT: f64 = 260.0;

/// Steps that have a dot of their own.
const DOTS: usize = 60;

fn x_axis(steps: &[Step]) -> (Scale, Vec<Tick>) {
    let last = (steps.len() - 1).max(1) as f64;
    let x = Scale::linear(0.0, last);
    // Whole iterations only.
    let ticks = x.ticks(6).into_iter().filter(|tick| tick.at.fract() == 0.0);
    (x, ticks.map(|tick| Tick { label: format!("{:.0}", tick.at), ..tick }).collect())
}

pub(super) fn loss(steps: &[Step], is_penalised: bool, starts_empty: bool) -> Markup {
    let (x, x_ticks) = x_axis(steps);
    let values = || steps.iter().map(|step| step.value).filter(|value| value.is_finite());
    let y = Scale::linear(values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)).nice(4);
    let name = if is_penalised { "mean loss and penalty, in nats" } else { "mean loss, in nats" };
    let frame = Frame::with_ticks(x, y, HEIGHT, ["iteration", name], [x_ticks, y.ticks(4)]);
    let points = || (0_u32..).zip(steps).map(|(k, step)| (f64::from(k), step.value));
    let marks = html! {
        (frame.line(points(), "curve a"))
        @if steps.len() <= DOTS {
            @for (k, value) in points().filter(|(_, value)| value.is_finite()) {
                (frame.dot(k, value, 3.5, "dot a", &format!("{} after iteration {k}", significant(value, 7))))
            }
        }
    };
    let [first, last] = [steps[0].value, steps[steps.len() - 1].value];
    let caption = html! {
        "From " (significant(first, 5)) " to " (significant(last, 5)) " in "
        (counted((steps.len() - 1) as u64, "iteration")) ""
        @if starts_empty { "; the first dot is the model without features" }
        "."
    };
    figure("The loss on its way down", &frame.picture("Loss by iteration", &marks), &caption)
}

/// The distance to the optimum, or the gradient where that is not known.
pub(super) fn distance(steps: &[Step], tolerance: f64, gradient_tolerance: Option<f64>) -> Option<Markup> {
    let by_delta = gradient_tolerance.is_none() && steps.iter().filter(|step| step.delta.is_some()).count() > 1;
    let value = |step: &Step| if by_delta { step.delta.unwrap_or(f64::NAN) } else { step.gradient_norm };
    let points: Vec<(f64, f64)> = (0_u32..)
        .zip(steps)
        .map(|(k, step)| (f64::from(k), value(step)))
        .filter(|(_, y)| *y > 0.0 && y.is_finite())
        .collect();
    let goal = if by_delta { Some(tolerance) } else { gradient_tolerance };
    let all = || points.iter().map(|(_, y)| *y).chain(goal);
    if points.is_empty() {
        return None;
    }
    let y = Scale::logarithmic(all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max)).nice(1);
    let (x, x_ticks) = x_axis(steps);
    let name = if by_delta { "standard errors to the optimum" } else { "largest component of the gradient" };
    let frame = Frame::with_ticks(x, y, HEIGHT, ["iteration", name], [x_ticks, y.ticks(5)]);
    let end = x.ends()[1];
    let marks = html! {
        @if let Some(goal) = goal { (frame.line([(0.0, goal), (end, goal)], "base")) }
        (frame.line(points.iter().copied(), "curve a"))
        @if points.len() <= DOTS {
            @for (k, value) in &points {
                (frame.dot(*k, *value, 3.5, "dot a", &format!("{} after iteration {k}", significant(*value, 3))))
            }
        }
    };
    let caption = html! {
        @if by_delta { "How far the coefficients are from the optimum, against what chance in the rows does to them." }
        @else { "How steep the objective still is." }
        @if goal.is_some() { " The dashed line is where the run may stop." }
    };
    Some(figure("The distance that is left", &frame.picture("Distance by iteration", &marks), &caption))
}
