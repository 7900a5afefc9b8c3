//! What pictures share: scales, ticks, axes, and marks.
//!
//! A picture is drawn in units of its own, about as wide as a phone, and scales with the page. Colours are classes, so
//! that the page decides what they are in its two modes and on paper.

use std::fmt::Write;

use maud::{Markup, Render, html};

use super::text::{fixed, significant};

/// Width of a picture, in its units.
pub(super) const WIDTH: f64 = 400.0;

/// A length or place in a picture: a tenth of a unit is finer than a screen.
pub(super) struct Px(pub(super) f64);

impl Render for Px {
    fn render_to(&self, text: &mut String) {
        write_px(text, self.0);
    }
}

fn write_px(text: &mut String, x: f64) {
    // -0 is 0.
    let tenths = (10.0 * x).round() + 0.0;
    if tenths % 10.0 == 0.0 {
        write!(text, "{:.0}", tenths / 10.0).expect("writing to a string");
    } else {
        write!(text, "{:.1}", tenths / 10.0).expect("writing to a string");
    }
}

/// From numbers to places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
    logarithmic: bool,
}

/// A mark on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// The number.
    pub(super) at: f64,
    /// How it is written.
    pub(super) label: String,
}

impl Scale {
    /// Of the numbers from `low` to `high`; what has no extent gets some.
    pub(super) fn linear(low: f64, high: f64) -> Self {
        let size = low.abs().max(high.abs());
        let pad = if high - low > 1e-9 * size {
            0.0
        } else if size > 0.0 {
            0.05 * size
        } else {
            0.5
        };
        let (low, high) = (low - pad, high + pad);
        Self { low, high, start: 0.0, end: 1.0, logarithmic: false }
    }

    /// Of the positive numbers from `low` to `high`, by their logarithms.
    pub(super) fn logarithmic(low: f64, high: f64) -> Self {
        let linear = Self::linear(low.log10(), high.log10());
        Self { logarithmic: true, ..linear }
    }

    /// The scale to whole ticks on both ends.
    pub(super) fn nice(self, count: usize) -> Self {
        let step = if self.logarithmic { 1.0 } else { step(self.high - self.low, count) };
        // What lies on a tick but for rounding stays there.
        let low = (self.low / step + 1e-9).floor() * step;
        let high = (self.high / step - 1e-9).ceil() * step;
        Self { low, high, ..self }
    }

    fn onto(self, start: f64, end: f64) -> Self {
        Self { start, end, ..self }
    }

    /// The numbers at both ends.
    pub(super) fn ends(&self) -> [f64; 2] {
        [self.low, self.high].map(|x| if self.logarithmic { 10_f64.powf(x) } else { x })
    }

    /// The place of a number, within the scale's reach.
    pub(super) fn at(&self, x: f64) -> f64 {
        let x = if self.logarithmic { x.log10() } else { x };
        let share = (x - self.low) / (self.high - self.low);
        self.start + share.clamp(0.0, 1.0) * (self.end - self.start)
    }

    /// Some `count` round numbers.
    pub(super) fn ticks(&self, count: usize) -> Vec<Tick> {
        if self.logarithmic {
            let every = ((self.high - self.low) / count as f64).ceil().max(1.0) as i32;
            let first = (self.low - 1e-9).ceil() as i32;
            let powers = (first..=(self.high + 1e-9).floor() as i32).filter(|power| (power - first) % every == 0);
            return powers
                .map(|power| {
                    let at = 10_f64.powi(power);
                    Tick {
                        at,
                        label: if (-3..=3).contains(&power) {
                            fixed(at, (-power).max(0) as usize)
                        } else {
                            super::text::power(power)
                        },
                    }
                })
                .collect();
        }
        let step = step(self.high - self.low, count);
        let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
        let largest = self.low.abs().max(self.high.abs());
        let label = |at: f64| {
            if largest < 1e6 && decimals <= 4 {
                fixed(at, decimals)
            } else if at.abs() < 1e-9 * step {
                "0".into()
            } else {
                // As many digits as tell neighbours apart.
                significant(at, ((largest.log10().floor() - step.log10().floor()).max(0.0) as usize + 1).min(12))
            }
        };
        let first = (self.low / step - 1e-9).ceil();
        let last = (self.high / step + 1e-9).floor();
        (0..=(last - first).max(0.0) as u32)
            .map(|k| (first + f64::from(k)) * step)
            .map(|at| Tick { at, label: label(at) })
            .collect()
    }
}

/// 1, 2 or 5 times a power of ten, so that about `count` of them make `extent`.
fn step(extent: f64, count: usize) -> f64 {
    let rough = extent / count.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = match rough / power {
        r if r < 1.5 => 1.0,
        r if r < 3.5 => 2.0,
        r if r < 7.5 => 5.0,
        _ => 10.0,
    };
    factor * power
}

/// The axes of a picture and the room between them.
pub(super) struct Frame {
    pub(super) x: Scale,
    pub(super) y: Scale,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    x_label: String,
    y_label: String,
}

/// Ticks of an axis, about.
const X_TICKS: usize = 5;
const Y_TICKS: usize = 4;

/// Width of a digit in the font of ticks, about.
const DIGIT: f64 = 6.6;

impl Frame {
    /// Axes with these names over a height in units.
    pub(super) fn new(x: Scale, y: Scale, height: f64, x_label: &str, y_label: &str) -> Self {
        Self::with_ticks(x, y, height, [x_label, y_label], [x.ticks(X_TICKS), y.ticks(Y_TICKS)])
    }

    /// The same with ticks of the caller's.
    pub(super) fn with_ticks(x: Scale, y: Scale, height: f64, labels: [&str; 2], ticks: [Vec<Tick>; 2]) -> Self {
        Self::sized(x, y, [WIDTH, height], labels, ticks)
    }

    /// The same in a picture that is narrower, so that several stand beside each other.
    pub(super) fn sized(
        x: Scale,
        y: Scale,
        [whole, height]: [f64; 2],
        [x_label, y_label]: [&str; 2],
        [mut x_ticks, y_ticks]: [Vec<Tick>; 2],
    ) -> Self {
        let width = |tick: &Tick| DIGIT * tick.label.chars().count() as f64;
        let left = 14.0 + y_ticks.iter().map(width).fold(12.0, f64::max);
        let right = whole - 10.0 - x_ticks.last().map_or(0.0, |tick| (0.5 * width(tick) - 10.0).clamp(0.0, 20.0));
        let top = if y_label.is_empty() { 10.0 } else { 30.0 };
        let bottom = height - if x_label.is_empty() { 22.0 } else { 40.0 };
        let (x, y) = (x.onto(left, right), y.onto(bottom, top));
        // Labels that would touch are thinned out.
        let needed = x_ticks.iter().map(width).fold(0.0, f64::max) + 10.0;
        while x_ticks.len() > 2 && x.at(x_ticks[1].at) - x.at(x_ticks[0].at) < needed {
            let mut index = 0;
            x_ticks.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        Self {
            x,
            y,
            width: whole,
            height,
            left,
            right,
            top,
            bottom,
            x_ticks,
            y_ticks,
            x_label: x_label.into(),
            y_label: y_label.into(),
        }
    }

    /// No axes: places are units.
    pub(super) fn bare(width: f64, height: f64) -> Self {
        let plain = Self::with_ticks(
            Scale::linear(0.0, width),
            Scale::linear(0.0, height),
            height,
            [""; 2],
            [Vec::new(), Vec::new()],
        );
        Self { x: plain.x.onto(0.0, width), y: plain.y.onto(0.0, height), ..plain }
    }

    /// Gives two pictures that stand above one another the same edges, where their x axes are the same.
    pub(super) fn align(&mut self, other: &mut Self) {
        let (left, right) = (self.left.max(other.left), self.right.min(other.right));
        for frame in [self, other] {
            (frame.left, frame.right, frame.x) = (left, right, frame.x.onto(left, right));
        }
    }

    /// The corners of the room between the axes: left, top, right, bottom.
    pub(super) fn room(&self) -> [f64; 4] {
        [self.left, self.top, self.right, self.bottom]
    }

    /// A line through points, given as numbers.
    pub(super) fn line(&self, points: impl IntoIterator<Item = (f64, f64)>, class: &str) -> Markup {
        html! { path class=(class) d=(self.path(points)) {} }
    }

    /// The same as the text of a path. Points that are no numbers interrupt it.
    pub(super) fn path(&self, points: impl IntoIterator<Item = (f64, f64)>) -> String {
        let mut text = String::new();
        let mut pen = 'M';
        for (x, y) in points {
            if x.is_nan() || y.is_nan() {
                pen = 'M';
                continue;
            }
            text.push(pen);
            write_px(&mut text, self.x.at(x));
            text.push(' ');
            write_px(&mut text, self.y.at(y));
            pen = 'L';
        }
        text
    }

    /// Many points in one path: each is a stroke without length, which a round pen makes a dot.
    pub(super) fn dots(&self, points: impl IntoIterator<Item = (f64, f64)>, class: &str) -> Markup {
        let mut text = String::new();
        for (x, y) in points {
            text.push('M');
            write_px(&mut text, self.x.at(x));
            text.push(' ');
            write_px(&mut text, self.y.at(y));
            text += "h0";
        }
        html! { path class=(class) d=(text) {} }
    }

    /// A filled staircase over bins `(from, to, y)` that touch, down to the x axis.
    pub(super) fn stairs(&self, bins: &[(f64, f64, f64)], class: &str) -> Markup {
        let (Some(first), Some(last)) = (bins.first(), bins.last()) else { return html! {} };
        let base = self.y.ends()[0];
        let steps = bins.iter().flat_map(|&(from, to, y)| [(from, y), (to, y)]);
        let outline = std::iter::once((first.0, base)).chain(steps).chain([(last.1, base)]);
        self.line(outline, class)
    }

    /// A dot with a text that shows under the pointer.
    pub(super) fn dot(&self, x: f64, y: f64, radius: f64, class: &str, title: &str) -> Markup {
        html! {
            circle class=(class) cx=(Px(self.x.at(x))) cy=(Px(self.y.at(y))) r=(Px(radius)) { title { (title) } }
        }
    }

    /// The picture: axes, and `marks` between them.
    pub(super) fn picture(&self, about: &str, marks: &Markup) -> Markup {
        html! {
            svg class="picture" viewBox={ "0 0 " (Px(self.width)) " " (Px(self.height)) } role="img" aria-label=(about) {
                @for tick in &self.y_ticks {
                    @let y = self.y.at(tick.at);
                    line class="grid" x1=(Px(self.left)) x2=(Px(self.right)) y1=(Px(y)) y2=(Px(y)) {}
                    (label(self.left - 7.0, y + 4.0, "tick end", &tick.label))
                }
                @for tick in &self.x_ticks {
                    @let x = self.x.at(tick.at);
                    line class="axis" x1=(Px(x)) x2=(Px(x)) y1=(Px(self.bottom)) y2=(Px(self.bottom + 4.0)) {}
                    (label(x, self.bottom + 17.0, "tick middle", &tick.label))
                }
                (marks)
                line class="axis" x1=(Px(self.left)) x2=(Px(self.right)) y1=(Px(self.bottom)) y2=(Px(self.bottom)) {}
                @if !self.x_label.is_empty() {
                    (label(self.right, self.bottom + 34.0, "name end", &self.x_label))
                }
                @if !self.y_label.is_empty() {
                    (label(2.0, 13.0, "name", &self.y_label))
                }
            }
        }
    }
}

/// A text at a place in units.
pub(super) fn label(x: f64, y: f64, class: &str, text: &str) -> Markup {
    html! { text class=(class) x=(Px(x)) y=(Px(y)) { (text) } }
}

/// Characters of an axis' name that have room.
pub(super) const LABEL_WIDTH: usize = 56;

/// The last row of a table whose rows have a strip of SVG each: the axis from `edge` to `edge`, in percent, and its name.
pub(super) fn strip_axis(
    edge: f64,
    ticks: Vec<Tick>,
    at: impl Fn(f64) -> String,
    name: &str,
    beside: &Markup,
) -> Markup {
    html! {
        tr {
            th {}
            td {
                svg class="strip" height="40" aria-hidden="true" {
                    line class="axis" x1={ (edge) "%" } x2={ (100.0 - edge) "%" } y1="1" y2="1" {}
                    @for tick in ticks {
                        @let x = at(tick.at);
                        line class="axis" x1=(x) x2=(x) y1="1" y2="5" {}
                        text class="tick middle" x=(x) y="19" { (tick.label) }
                    }
                    text class="name middle" x="50%" y="36" { (name) }
                }
            }
            (beside)
        }
    }
}

/// A picture with its title and a sentence on what is seen.
pub(super) fn figure(title: &str, picture: &Markup, caption: &Markup) -> Markup {
    html! {
        figure {
            h3 { (title) }
            (picture)
            figcaption { (caption) }
        }
    }
}

/// Names of colours: a mark in the colour, and what has it.
pub(super) fn legend(entries: &[(&str, &str)]) -> Markup {
    html! {
        p class="legend" {
            @for (class, text) in entries {
                span { span class={ "key " (class) } {} (text) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, count: usize) -> Vec<String> {
        scale.ticks(count).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_and_written_alike() {
        assert_eq!(labels(Scale::linear(0.0, 1.0), 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(Scale::linear(-4.3, 35.6), 5), ["0", "10", "20", "30"]);
        assert_eq!(
            labels(Scale::linear(0.0, 0.013), 4),
            ["0.000", "0.002", "0.004", "0.006", "0.008", "0.010", "0.012"]
        );
        assert_eq!(labels(Scale::linear(0.0, 3e7), 3), ["0", "1×10⁷", "2×10⁷", "3×10⁷"]);
        assert_eq!(labels(Scale::logarithmic(1e-6, 10.0), 4), ["10⁻⁶", "10⁻⁴", "0.01", "1"]);
        assert_eq!(labels(Scale::linear(2.0, 2.0), 2).len(), 3);
    }

    #[test]
    fn nice_ends_are_ticks() {
        let scale = Scale::linear(0.03, 0.97).nice(4);
        assert!(scale.ends()[0].abs() < 1e-12 && (scale.ends()[1] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_lies_outside_stays_inside() {
        let scale = Scale::linear(0.0, 1.0).onto(10.0, 20.0);
        assert!([(-5.0, 10.0), (0.5, 15.0), (7.0, 20.0)].iter().all(|(x, at)| (scale.at(*x) - at).abs() < 1e-12));
        let mut text = String::new();
        for x in [-0.04, 1.0, 2.25, 99.96] {
            write_px(&mut text, x);
        }
        assert_eq!(text, "012.3100");
    }
}
