//! The probabilities of all classes over one number.

use maud::{Markup, html};

use super::axis::{Axis, at_means, probabilities};
use super::curve::wilson;
use super::marks::Marks;
use super::svg::{Frame, LABEL_WIDTH, Px, Scale, figure};
use super::text::{count, fixed, shortened, significant};
use crate::model::Model;

const HEIGHT: f64 = 220.0;
const TALL: f64 = 320.0;

/// Places at which a curve is drawn.
const PLACES: u32 = 120;

/// Marks along a curve, so that its colour is not all that tells it apart.
const MARKS: usize = 4;

/// Classes whose observed shares have intervals: more would hide each other.
const INTERVALS: usize = 4;

/// Units over which the marks of a bin are spread.
const BESIDE: f64 = 8.0;

/// The margins of the classes along a number: `at + slope (x - mean)`.
struct Lines {
    at: Vec<f64>,
    slopes: Vec<f64>,
    mean: f64,
}

impl Lines {
    fn new(model: &Model, axis: &Axis<'_>) -> Self {
        Self { at: at_means(model), slopes: axis.feature.coefficients.clone(), mean: axis.feature.mean }
    }

    fn margins(&self, x: f64) -> impl Iterator<Item = f64> + Clone + '_ {
        self.at.iter().zip(&self.slopes).map(move |(at, slope)| at + slope * (x - self.mean))
    }

    /// The likeliest classes from `low` on, each with the place from which it is that: an upper envelope of lines.
    fn likeliest(&self, low: f64, high: f64) -> Vec<(usize, f64)> {
        let margins: Vec<f64> = self.margins(low).collect();
        // Of equal ones that which rises.
        let first = (0..margins.len())
            .max_by(|&a, &b| margins[a].total_cmp(&margins[b]).then(self.slopes[a].total_cmp(&self.slopes[b])));
        let mut found: Vec<(usize, f64)> = first.map(|class| (class, low)).into_iter().collect();
        while let Some(&(class, from)) = found.last() {
            let crossing = |other: usize| {
                self.mean + (self.at[class] - self.at[other]) / (self.slopes[other] - self.slopes[class])
            };
            let next = (0..self.at.len())
                .filter(|&other| self.slopes[other] > self.slopes[class])
                .map(|other| (other, crossing(other).max(from)))
                .filter(|(_, at)| *at < high)
                .min_by(|a, b| a.1.total_cmp(&b.1).then(self.slopes[b.0].total_cmp(&self.slopes[a.0])));
            match next {
                Some(next) => found.push(next),
                None => break,
            }
        }
        found
    }
}

/// Where each class is the likeliest, in words.
fn ranges(lines: &Lines, axis: &Axis<'_>, marks: &Marks) -> Markup {
    let found = lines.likeliest(axis.low, axis.high);
    let name = |class: usize| marks.name(class, 30);
    html! {
        @match found[..] {
            [(class, _)] => { "The likeliest is " (name(class)) " all over." }
            _ if found.len() > 8 => { "The likeliest changes " (count((found.len() - 1) as f64)) " times." }
            _ => {
                "The likeliest is "
                @for (index, (class, from)) in found.iter().enumerate() {
                    @if index > 0 { @if index + 1 == found.len() { " and " } @else { ", " } }
                    (name(*class))
                    @match found.get(index + 1) {
                        Some((_, to)) => { " up to " (significant(*to, 4)) }
                        None => { " from " (significant(*from, 4)) " on" }
                    }
                }
                "."
            }
        }
    }
}

/// A bar for the rows of each bin, up to a height in units.
pub(super) fn rows(frame: &Frame, axis: &Axis<'_>, highest: f64) -> Markup {
    let bottom = frame.room()[3];
    html! {
        @for bin in axis.bins.iter().filter(|bin| bin.total() > 0) {
            @let height = highest * bin.total() as f64 / axis.most() as f64;
            @let [from, to] = [bin.from, bin.to].map(|x| frame.x.at(x));
            rect class="area c" style="stroke:none" x=(Px(from)) width=(Px((to - from).max(0.3))) y=(Px(bottom - height)) height=(Px(height)) {}
        }
    }
}

/// The curves with their marks, and how high they go.
struct Curves {
    /// `[places][slots]`.
    of_places: Vec<(f64, Vec<f64>)>,
    highest: f64,
}

impl Curves {
    fn new(lines: &Lines, axis: &Axis<'_>, marks: &Marks) -> Self {
        let place = |k: u32| axis.low + (axis.high - axis.low) * f64::from(k) / f64::from(PLACES);
        let of_places: Vec<_> =
            (0..=PLACES).map(|k| (place(k), probabilities(lines.margins(place(k)), marks))).collect();
        let highest = of_places.iter().flat_map(|(_, of_slots)| of_slots).fold(0.0, |a: f64, b| a.max(*b));
        Self { of_places, highest }
    }

    /// Rare classes get a scale of their own.
    fn scale(&self) -> Scale {
        if self.highest > 0.4 { Scale::linear(0.0, 1.0) } else { Scale::linear(0.0, self.highest).nice(4) }
    }

    fn draw(&self, frame: &Frame, marks: &Marks) -> Markup {
        let slots = marks.slots().len();
        html! {
            @for slot in marks.slots() {
                @let along = || self.of_places.iter().map(|(x, of_slots)| (*x, of_slots[slot]));
                (frame.line(along(), &format!("curve k {}", marks.colour(slot))))
                // Those of different classes stand at different places, since curves may lie on each other.
                @for k in 0..MARKS {
                    @let place = PLACES as usize * (2 * (k * slots + slot) + 1) / (2 * MARKS * slots);
                    @let (x, p) = along().nth(place).unwrap_or_default();
                    (marks.mark(slot, frame.x.at(x), frame.y.at(p), &format!("{}: {}", marks.name_of_slot(slot, 60), fixed(p, 4))))
                }
            }
        }
    }
}

/// What one column does to the classes where all others are at their means.
pub(super) fn effect_of_classes(model: &Model, axis: &Axis<'_>, marks: &Marks) -> Markup {
    let lines = Lines::new(model, axis);
    let curves = Curves::new(&lines, axis, marks);
    let frame =
        Frame::new(Scale::linear(axis.low, axis.high), curves.scale(), HEIGHT, &axis.label(LABEL_WIDTH), "probability");
    let drawn = html! {
        (rows(&frame, axis, 40.0))
        (curves.draw(&frame, marks))
    };
    figure(
        &shortened(&axis.feature.name, 60),
        &frame.picture("Probabilities over the column", &drawn),
        &ranges(&lines, axis, marks),
    )
}

/// A model of one number, and what was observed.
pub(super) fn curves(model: &Model, axis: &Axis<'_>, marks: &Marks) -> Markup {
    let lines = Lines::new(model, axis);
    let curves = Curves::new(&lines, axis, marks);
    let frame = Frame::new(
        Scale::linear(axis.low, axis.high),
        Scale::linear(0.0, 1.0),
        TALL,
        &axis.label(LABEL_WIDTH),
        "probability, and observed share",
    );
    // Beside each other, so that classes with the same share do not hide each other.
    let slots = marks.slots().len();
    let beside = |slot: usize| BESIDE * (slot as f64 - 0.5 * (slots as f64 - 1.0)) / slots as f64;
    let shares = |slot: usize| {
        let bins = axis.bins.iter().filter(move |bin| bin.rows[slot] > 0);
        bins.map(move |bin| {
            (frame.x.at(f64::midpoint(bin.from, bin.to)) + beside(slot), bin.rows[slot] as f64, bin.total() as f64)
        })
    };
    let observed = html! {
        @if slots <= INTERVALS {
            @for slot in marks.slots() {
                @for (x, hits, all) in shares(slot) {
                    @let [low, high] = wilson(hits, all).map(|share| frame.y.at(share));
                    line class={ "k thin " (marks.colour(slot)) } x1=(Px(x)) x2=(Px(x)) y1=(Px(low)) y2=(Px(high)) {}
                }
            }
        }
        @for slot in marks.slots() {
            @for (x, hits, all) in shares(slot) {
                (marks.mark(slot, x, frame.y.at(hits / all), &format!("{} of {} rows are {}", count(hits), count(all), marks.name_of_slot(slot, 60))))
            }
        }
    };
    let drawn = html! {
        (rows(&frame, axis, 60.0))
        @for slot in marks.slots() {
            (frame.line(curves.of_places.iter().map(|(x, of_slots)| (*x, of_slots[slot])), &format!("curve k {}", marks.colour(slot))))
        }
        (observed)
    };
    let picture = html! { (marks.legend()) (frame.picture("The curves of the classes over observed shares", &drawn)) };
    let caption = html! {
        "The curves are the model; each mark is the share of its class that was observed in the rows of a bin"
        @if slots <= INTERVALS { ", with its interval of 95 %" }
        "; shares of 0 have none. Grey is where the rows are, up to " (count(axis.most() as f64)) " in a bin. "
        (ranges(&lines, axis, marks))
    };
    figure("The curves and what was observed", &picture, &caption)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_classes_are_those_of_a_search() {
        let lines = Lines { at: vec![0.0, 1.0, -3.0, 0.5], slopes: vec![-2.0, 0.0, 2.0, 0.1], mean: 0.5 };
        let found = lines.likeliest(-4.0, 6.0);
        let at = |x: f64| found.iter().rev().find(|(_, from)| *from <= x).expect("from low on").0;
        for k in 0..=1000 {
            let x = -4.0 + 0.01 * f64::from(k);
            let margins: Vec<f64> = lines.margins(x).collect();
            let best = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!(margins[at(x)] >= best - 1e-9, "{x}: {found:?}");
        }
        assert_eq!(found.iter().map(|(class, _)| *class).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(lines.likeliest(3.0, 6.0).len(), 1);
    }
}
