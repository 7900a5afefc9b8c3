//! A model of two numbers: where it draws the line.

use maud::{Markup, html};

use super::axis::{Axis, at_means, points};
use super::svg::{Frame, LABEL_WIDTH, Scale, figure, label, legend};
use super::text::{percent, shortened, some_rows};
use crate::model::Model;
use crate::profile::Profile;

const HEIGHT: f64 = 380.0;

/// Probabilities at which bands begin, those first whose names matter most where there is no room for all.
const LEVELS: [f64; 5] = [0.5, 0.1, 0.9, 0.3, 0.7];

/// The part of a polygon where `f`, which is linear, is at least 0.
///
/// # Reference
/// Sutherland and Hodgman (1974), "Reentrant polygon clipping".
pub(super) fn clip(polygon: &[(f64, f64)], f: impl Fn((f64, f64)) -> f64) -> Vec<(f64, f64)> {
    let mut kept = Vec::new();
    for (index, &to) in polygon.iter().enumerate() {
        let from = polygon[(index + polygon.len() - 1) % polygon.len()];
        let (at_from, at_to) = (f(from), f(to));
        if (at_from >= 0.0) != (at_to >= 0.0) {
            let share = at_from / (at_from - at_to);
            kept.push((from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1)));
        }
        if at_to >= 0.0 {
            kept.push(to);
        }
    }
    kept
}

/// The two points of a polygon's edge where `f` is 0.
fn crossing(polygon: &[(f64, f64)], f: impl Fn((f64, f64)) -> f64) -> Option<[(f64, f64); 2]> {
    let inside = clip(polygon, &f);
    let scale = polygon.iter().map(|point| f(*point).abs()).fold(0.0, f64::max);
    let on: Vec<_> = inside.into_iter().filter(|point| f(*point).abs() <= 1e-9 * scale).collect();
    match on[..] {
        [a, b] => Some([a, b]),
        _ => None,
    }
}

pub(super) fn boundary(model: &Model, x: &Axis<'_>, y: &Axis<'_>, profile: &Profile) -> Markup {
    let at_means = at_means(model)[0];
    let margin = |(a, b): (f64, f64)| {
        at_means + x.feature.coefficients[0] * (a - x.feature.mean) + y.feature.coefficients[0] * (b - y.feature.mean)
    };
    let frame = Frame::new(
        Scale::linear(x.low, x.high),
        Scale::linear(y.low, y.high),
        HEIGHT,
        &x.label(LABEL_WIDTH),
        &y.label(LABEL_WIDTH),
    );
    let corners = [(x.low, y.low), (x.high, y.low), (x.high, y.high), (x.low, y.high)];
    let odds = |p: f64| (p / (1.0 - p)).ln();
    let [left, top, right, bottom] = frame.room();
    // A name stands where its line leaves the picture, and where no other name is.
    let mut names: Vec<(f64, f64, String)> = Vec::new();
    let lines: Vec<_> = LEVELS
        .iter()
        .filter_map(|&level| crossing(&corners, |point| margin(point) - odds(level)).map(|ends| (level, ends)))
        .collect();
    for (level, ends) in &lines {
        let mut places = ends.map(|(a, b)| {
            (frame.x.at(a).clamp(left + 20.0, right - 20.0), frame.y.at(b).clamp(top + 16.0, bottom - 10.0))
        });
        places.sort_by(|a, b| a.1.total_cmp(&b.1));
        let free = |place: &&(f64, f64)| {
            names.iter().all(|(x, y, _)| (x - place.0).abs() > 36.0 || (y - place.1).abs() > 16.0)
        };
        if let Some(&(x, y)) = places.iter().find(free) {
            names.push((x, y, percent(*level).replace(".0", "")));
        }
    }
    let inside = |class: usize| points(profile, class, [x, y]);
    let band = |class: &str, polygon: Vec<(f64, f64)>| {
        html! { @if polygon.len() > 2 { path class={ "band " (class) } d={ (frame.path(polygon)) "Z" } {} } }
    };
    let marks = html! {
        @for level in LEVELS {
            @if level >= 0.5 { (band("a", clip(&corners, |point| margin(point) - odds(level)))) }
            @if level <= 0.5 { (band("b", clip(&corners, |point| odds(level) - margin(point)))) }
        }
        (frame.dots(inside(0), "dots b"))
        (frame.dots(inside(1), "dots a"))
        @for (level, ends) in &lines {
            @if (level - 0.5).abs() < 1e-9 { (frame.line(*ends, "ring")) } @else { (frame.line(*ends, "c")) }
        }
        @for (x, y, name) in &names { (label(*x, *y, "strong middle halo", name)) }
    };
    let [negative, positive] = model.label.two().map(|class| shortened(&class.to_string(), 30));
    let shown = inside(1).count() + inside(0).count();
    let picture = html! {
        (legend(&[("a", &positive), ("b", &negative)]))
        (frame.picture("The boundary of the model", &marks))
    };
    let caption = html! {
        "Along each line the probability of " (positive) " is the same; the thick one, 50 %, is the boundary. Dots are "
        (some_rows(shown, profile.rows)) "."
    };
    figure("The boundary", &picture, &caption)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: [(f64, f64); 4] = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];

    fn area(polygon: &[(f64, f64)]) -> f64 {
        let next = polygon.iter().cycle().skip(1);
        0.5 * polygon.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>()
    }

    #[test]
    fn a_line_cuts_a_square() {
        let kept = clip(&SQUARE, |(x, y)| x + y - 0.5);
        assert!((area(&kept) - 0.875).abs() < 1e-12, "{kept:?}");
        assert!((area(&clip(&SQUARE, |(x, _)| 0.25 - x)) - 0.25).abs() < 1e-12);
        assert!(clip(&SQUARE, |_| -1.0).is_empty() && clip(&SQUARE, |_| 1.0).len() == 4);
        let [a, b] = crossing(&SQUARE, |(x, y)| x + y - 0.5).expect("it crosses");
        assert!((a.0 + a.1 - 0.5).abs() < 1e-12 && (b.0 + b.1 - 0.5).abs() < 1e-12);
        assert!(crossing(&SQUARE, |(x, y)| x + y - 5.0).is_none());
    }
}
