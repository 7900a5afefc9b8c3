//! Whether what is predicted with probability p happens with frequency p: a small picture for each class.

use maud::{Markup, html};

use super::super::svg::{Frame, Px, Scale};
use super::super::text::{Figure, count, fixed};
use super::marks::Marks;
use crate::metrics::{Calibration, ClassMetrics};

/// Width and height of a picture.
const SIZE: [f64; 2] = [210.0, 186.0];

/// Height of the bar of the fullest bin.
const BAR: f64 = 34.0;

pub(super) fn calibration(metrics: &ClassMetrics, marks: &Marks) -> Markup {
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
                    thead { tr { @for head in ["probability", "rows", "predicted", "observed"] { th scope="col" { (head) } } } }
                    tbody {
                        @for (_, class, calibration) in shown() {
                            tr class="group" { th colspan="4" { (marks.name(class, 60)) } }
                            @for (index, bin) in calibration.bins.iter().enumerate().filter(|(_, bin)| bin.rows > 0) {
                                @let place = format!("quality/classes/{class}/calibration/bins/{index}");
                                tr class="level" {
                                    th scope="row" { (fixed(bin.low, 1)) " – " (fixed(bin.high, 1)) }
                                    td { (Figure::count(format!("{place}/rows"), bin.rows as f64)) }
                                    td { (Figure::optional(format!("{place}/predicted"), bin.predicted, 4)) }
                                    td { (Figure::optional(format!("{place}/observed"), bin.observed, 4)) }
                                }
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
    let frame = Frame::sized(unit, unit, SIZE, ["", ""], [unit.ticks(2), unit.ticks(2)]);
    let [left, _, right, bottom] = frame.room();
    let step = (right - left) / calibration.bins.len() as f64;
    let most = calibration.bins.iter().map(|bin| bin.weight).fold(0.0, f64::max);
    let filled = || calibration.bins.iter().filter_map(|bin| Some((bin.predicted?, bin.observed?, bin)));
    let drawn = html! {
        @for (index, bin) in calibration.bins.iter().enumerate().filter(|(_, bin)| bin.rows > 0) {
            @let height = (BAR * bin.weight / most).max(0.8);
            rect class="area c" style="stroke:none" x=(Px(left + step * index as f64 + 0.5)) width=(Px(step - 1.0)) y=(Px(bottom - height)) height=(Px(height)) {
                title { (count(bin.rows as f64)) " rows" }
            }
        }
        (frame.line([(0.0, 0.0), (1.0, 1.0)], "base"))
        (frame.line(filled().map(|(predicted, observed, _)| (predicted, observed)), &format!("curve k {}", marks.colour(slot))))
        @for (predicted, observed, bin) in filled() {
            (marks.mark(slot, frame.x.at(predicted), frame.y.at(observed), &format!(
                "{} rows: predicted {}, observed {}", count(bin.rows as f64), fixed(predicted, 4), fixed(observed, 4)
            )))
        }
    };
    frame.picture("Observed against predicted", &drawn)
}
