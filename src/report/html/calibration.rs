//! Whether what is predicted with probability p happens with frequency p.

use maud::{Markup, html};

use super::marks::Marks;
use super::svg::{Frame, Px, Scale, figure};
use super::text::{Figure, count, fixed, shortened};
use crate::metrics::{Calibration, CalibrationBin, Metrics};

const HEIGHT: f64 = 300.0;

/// Width and height of a picture beside those of other classes.
const SMALL: [f64; 2] = [210.0, 186.0];

/// Heads of the table of the bins.
const HEADS: [&str; 4] = ["probability", "rows", "predicted", "observed"];

/// A bar for the rows of each bin, up to `height` and with `gap` on either side, and what was observed over what was
/// predicted, with a mark at each bin.
fn drawn(
    frame: &Frame,
    calibration: &Calibration,
    [height, gap]: [f64; 2],
    curve: &str,
    mark: impl Fn(f64, f64, &str) -> Markup,
) -> Markup {
    let [left, _, right, bottom] = frame.room();
    let step = (right - left) / calibration.bins.len() as f64;
    let most = calibration.bins.iter().map(|bin| bin.weight).fold(0.0, f64::max);
    let filled = || calibration.bins.iter().filter_map(|bin| Some((bin.predicted?, bin.observed?, bin)));
    html! {
        @for (index, bin) in calibration.bins.iter().enumerate().filter(|(_, bin)| bin.rows > 0) {
            @let height = (height * bin.weight / most).max(0.8);
            rect class="area c" style="stroke:none" x=(Px(left + step * index as f64 + gap)) width=(Px(step - 2.0 * gap)) y=(Px(bottom - height)) height=(Px(height)) {
                title { (count(bin.rows as f64)) " rows" }
            }
        }
        (frame.line([(0.0, 0.0), (1.0, 1.0)], "base"))
        (frame.line(filled().map(|(predicted, observed, _)| (predicted, observed)), curve))
        @for (predicted, observed, bin) in filled() {
            (mark(predicted, observed, &format!(
                "{} rows: predicted {}, observed {}", count(bin.rows as f64), fixed(predicted, 4), fixed(observed, 4)
            )))
        }
    }
}

/// The numbers of a bin, whose place in the JSON is given, as cells of the table.
fn cells(bin: &CalibrationBin, place: &str) -> Markup {
    html! {
        th scope="row" { (fixed(bin.low, 1)) " – " (fixed(bin.high, 1)) }
        td { (Figure::count(format!("{place}/rows"), bin.rows as f64)) }
        td { (Figure::optional(format!("{place}/predicted"), bin.predicted, 4)) }
        td { (Figure::optional(format!("{place}/observed"), bin.observed, 4)) }
    }
}

pub(super) fn calibration(calibration: &Calibration, positive: &str, is_weighted: bool) -> Markup {
    let unit = Scale::linear(0.0, 1.0);
    let observed = format!("observed share of {}", shortened(positive, 24));
    let frame = Frame::new(unit, unit, HEIGHT, "predicted probability, mean of the bin", &observed);
    let dot = |x: f64, y: f64, title: &str| frame.dot(x, y, 4.0, "dot a", title);
    let caption = html! {
        "On the dashed line what is predicted happens that often. The grey bars are "
        @if is_weighted { "what the rows of each tenth weigh." }
        @else {
            "the rows of each tenth, " (count(calibration.bins.iter().map(|bin| bin.rows).max().unwrap_or(0) as f64)) " in the fullest."
        }
        details {
            summary { "The numbers" }
            table class="numbers" {
                tr { @for head in HEADS { th scope="col" { (head) } } }
                @for (index, bin) in calibration.bins.iter().enumerate() {
                    tr { (cells(bin, &format!("quality/calibration/bins/{index}"))) }
                }
            }
        }
    };
    let drawn = drawn(&frame, calibration, [48.0, 1.0], "curve a", dot);
    figure("Calibration", &frame.picture("Observed against predicted", &drawn), &caption)
}

/// A small picture for each class.
pub(super) fn calibration_of_classes(metrics: &Metrics, marks: &Marks) -> Markup {
    let shown = || {
        marks.apart.classes.iter().enumerate().map(|(slot, &class)| (slot, class, &metrics.classes[class].calibration))
    };
    html! {
        h3 class="block" { "Calibration" }
        p class="soft" {
            "Observed share against predicted probability. On the dashed line what is predicted happens that often; the grey bars are the rows of each tenth."
            @if marks.apart.others > 0 { " The other classes are not drawn." }
        }
        div class="small" {
            @for (slot, class, calibration) in shown() {
                div {
                    h4 { (marks.glyph(slot)) (marks.name(class, 40)) }
                    (picture(calibration, slot, marks))
                    p { "error " (Figure::fixed(format!("quality/classes/{class}/calibration/expected_error"), calibration.expected_error, 4)) }
                }
            }
        }
        details {
            summary { "The numbers" }
            div class="wide" tabindex="0" {
                table class="numbers" {
                    thead { tr { @for head in HEADS { th scope="col" { (head) } } } }
                    tbody {
                        @for (_, class, calibration) in shown() {
                            tr class="group" { th colspan="4" { (marks.name(class, 60)) } }
                            @for (index, bin) in calibration.bins.iter().enumerate().filter(|(_, bin)| bin.rows > 0) {
                                tr class="level" { (cells(bin, &format!("quality/classes/{class}/calibration/bins/{index}"))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn picture(calibration: &Calibration, slot: usize, marks: &Marks) -> Markup {
    let unit = Scale::linear(0.0, 1.0);
    let frame = Frame::sized(unit, unit, SMALL, ["", ""], [unit.ticks(2), unit.ticks(2)]);
    let mark = |x: f64, y: f64, title: &str| marks.mark(slot, frame.x.at(x), frame.y.at(y), title);
    let drawn = drawn(&frame, calibration, [34.0, 0.5], &format!("curve k {}", marks.colour(slot)), mark);
    frame.picture("Observed against predicted", &drawn)
}
