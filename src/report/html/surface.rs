//! A model of two numbers: its probability as a surface.

use maud::{Markup, html};

use super::axis::{Axis, at_means};
use super::boundary::clip;
use super::svg::{Frame, LABEL_WIDTH, Px, Scale, WIDTH, figure, label, legend};
use super::text::{percent, shortened};
use crate::logistic::sigmoid;
use crate::model::Model;

/// Squares of the mesh on either axis.
const SQUARES: usize = 24;

/// Shades of a colour.
const SHADES: usize = 8;

/// The room of the picture: where the nearest corner is, and how far the edges and the height of 1 reach from it.
const NEAREST: (f64, f64) = (0.5 * WIDTH, 326.0);
const ACROSS: f64 = 146.0;
const DEEP: f64 = 54.0;
const HIGH: f64 = 170.0;
const HEIGHT: f64 = 388.0;

/// Ticks of an axis, about.
const TICKS: usize = 3;

/// The picture of a point on the unit square, counted from the nearest corner, at a probability.
fn project((u, v): (f64, f64), p: f64) -> (f64, f64) {
    (NEAREST.0 + ACROSS * (u - v), NEAREST.1 - DEEP * (u + v) - HIGH * p)
}

fn write(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    Frame::bare(WIDTH, HEIGHT).path(points)
}

/// An axis seen from its end that is nearest: there the probability is lower.
struct Side<'a, 'm> {
    axis: &'a Axis<'m>,
    rises: bool,
}

impl<'a, 'm> Side<'a, 'm> {
    fn new(axis: &'a Axis<'m>) -> Self {
        Self { axis, rises: axis.feature.coefficients[0] >= 0.0 }
    }

    /// The column's value at a share of the way from the nearest corner.
    fn at(&self, share: f64) -> f64 {
        let Axis { low, high, .. } = self.axis;
        if self.rises { low + share * (high - low) } else { high - share * (high - low) }
    }

    fn share(&self, x: f64) -> f64 {
        let share = (x - self.axis.low) / (self.axis.high - self.axis.low);
        if self.rises { share } else { 1.0 - share }
    }

    fn margin(&self, share: f64) -> f64 {
        self.axis.feature.coefficients[0] * (self.at(share) - self.axis.feature.mean)
    }
}

pub(super) fn surface(model: &Model, x: &Axis<'_>, y: &Axis<'_>) -> Markup {
    let [right, left] = [Side::new(x), Side::new(y)];
    let at_means = at_means(model)[0];
    let margin = |(u, v): (f64, f64)| at_means + right.margin(u) + left.margin(v);
    let at = |point: (f64, f64)| project(point, sigmoid(margin(point)));
    let square = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
    // The squares, cut where the surface goes through one half, by their side and shade.
    let mut shades = [vec![String::new(); SHADES], vec![String::new(); SHADES]];
    for (row, column) in (0..SQUARES).rev().flat_map(|row| (0..SQUARES).rev().map(move |column| (row, column))) {
        let corner = |(u, v): (f64, f64)| ((u + column as f64) / SQUARES as f64, (v + row as f64) / SQUARES as f64);
        let corners = square.map(corner);
        let sides = [clip(&corners, |point| -margin(point)), clip(&corners, margin)];
        for (shades, polygon) in shades.iter_mut().zip(sides).filter(|(_, polygon)| polygon.len() > 2) {
            let mean = polygon.iter().map(|point| sigmoid(margin(*point))).sum::<f64>() / polygon.len() as f64;
            let shade = (2.0 * (mean - 0.5).abs() * SHADES as f64) as usize;
            shades[shade.min(SHADES - 1)] += &(write(polygon.into_iter().map(at)) + "Z");
        }
    }
    let half = |point: (f64, f64)| project(point, 0.5);
    // What of the plane lies above the surface hides nothing that matters; the rest is below it.
    let above = clip(&square, |point| -margin(point));
    let crossing: Vec<(f64, f64)> = above.iter().copied().filter(|point| margin(*point).abs() < 1e-9).collect();
    let edge: Vec<(f64, f64)> = square
        .iter()
        .zip(square.iter().cycle().skip(1))
        .flat_map(|(from, to)| {
            (0..SQUARES).map(move |k| {
                let share = k as f64 / SQUARES as f64;
                (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
            })
        })
        .map(at)
        .collect();
    let floor = square.map(|point| project(point, 0.0));
    let (corner_left, top_left) = (project((0.0, 1.0), 0.0), project((0.0, 1.0), 1.0));
    let ticks = |axis: &Axis<'_>| Scale::linear(axis.low, axis.high).ticks(TICKS);
    let [negative, positive] = model.label.two().map(|class| shortened(&class.to_string(), 30));
    let outline = |points: &[(f64, f64)]| write(points.iter().copied()) + "Z";
    let opacity = |shade: usize| format!("fill-opacity:{:.2}", 0.16 + 0.72 * shade as f64 / (SHADES - 1) as f64);
    let svg = html! {
        svg class="picture" viewBox={ "0 0 " (Px(WIDTH)) " " (Px(HEIGHT)) } role="img" aria-label="The probability over both columns" {
            path class="area c" d=(outline(&floor)) {}
            path class="base" d=(outline(&square.map(half))) {}
            // Shades let through what is behind them.
            path class="solid" d=(outline(&edge)) {}
            @for (class, shades) in ["mesh b", "mesh a"].iter().zip(&shades) {
                @for (shade, squares) in shades.iter().enumerate().filter(|(_, squares)| !squares.is_empty()) {
                    path class=(class) style=(opacity(shade)) d=(squares) {}
                }
            }
            @if above.len() > 2 { path class="plane" d=(outline(&above.iter().map(|point| half(*point)).collect::<Vec<_>>())) {} }
            @if let [a, b] = crossing[..] { path class="ring" d=(write([half(a), half(b)])) {} }
            line class="axis" x1=(Px(corner_left.0)) x2=(Px(top_left.0)) y1=(Px(corner_left.1)) y2=(Px(top_left.1)) {}
            @for (p, name) in [(0.5, "0.5"), (1.0, "1")] {
                @let (x, y) = project((0.0, 1.0), p);
                line class="axis" x1=(Px(x - 4.0)) x2=(Px(x)) y1=(Px(y)) y2=(Px(y)) {}
                (label(x - 7.0, y + 4.0, "tick end", name))
            }
            @for tick in ticks(x) {
                @let (x, y) = project((right.share(tick.at), 0.0), 0.0);
                line class="axis" x1=(Px(x)) x2=(Px(x + 3.0)) y1=(Px(y)) y2=(Px(y + 3.0)) {}
                (label(x + 5.0, y + 14.0, "tick", &tick.label))
            }
            @for tick in ticks(y) {
                @let (x, y) = project((0.0, left.share(tick.at)), 0.0);
                line class="axis" x1=(Px(x)) x2=(Px(x - 3.0)) y1=(Px(y)) y2=(Px(y + 3.0)) {}
                (label(x - 5.0, y + 14.0, "tick end", &tick.label))
            }
            (label(2.0, 13.0, "name", &format!("probability of {positive}")))
            (label(2.0, HEIGHT - 24.0, "name", &format!("← {}", y.label(LABEL_WIDTH - 2))))
            (label(WIDTH - 2.0, HEIGHT - 6.0, "name end", &format!("{} →", x.label(LABEL_WIDTH - 2))))
        }
    };
    let picture = html! {
        (legend(&[("a", &format!("{positive} is likelier")), ("b", &format!("{negative} is likelier"))]))
        (svg)
    };
    let [lowest, highest] = [(0.0, 0.0), (1.0, 1.0)].map(|point| sigmoid(margin(point)));
    let caption = html! {
        "The same over the height: from " (percent(lowest)) " in the nearest corner to " (percent(highest)) " in the farthest"
        @if crossing.len() == 2 { "; the thick line is the boundary, where the surface goes through the plane of one half" }
        "."
    };
    figure("The probability as a surface", &picture, &caption)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing of a surface that rises away from the eye is hidden: what is farther is higher in the picture.
    #[test]
    fn the_picture_has_room_and_hides_nothing() {
        for (u, v, p) in [(0.0, 0.0, 0.0), (1.0, 0.0, 0.3), (0.0, 1.0, 1.0), (1.0, 1.0, 1.0)] {
            let (x, y) = project((u, v), p);
            assert!((40.0..=WIDTH - 40.0).contains(&x) && (30.0..=HEIGHT - 55.0).contains(&y), "{x} {y}");
        }
        let (x, y) = project((0.4, 0.2), 0.5);
        let (beyond, higher) = project((0.5, 0.3), 0.6);
        assert!((beyond - x).abs() < 1e-9 && higher < y);
    }
}
