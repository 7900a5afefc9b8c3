//! Whether what is predicted with probability p happens with frequency p.

use maud::{Markup, html};

use super::svg::{Frame, Px, Scale, figure};
use super::text::{count, fixed, shortened};
use crate::metrics::Calibration;

const HEIGHT: f64 = 300.0;

pub(super) fn calibration(calibration: &Calibration, positive: &str, is_weighted: bool) -> Markup {
    let unit = Scale::linear(0.0, 1.0);
    let frame = Frame::new(
        unit,
        unit,
        HEIGHT,
        "predicted probability, mean of the bin",
        &format!("observed share of {}", shortened(positive, 24)),
    );
    let filled = || calibration.bins.iter().filter_map(|bin| Some((bin.predicted?, bin.observed?, bin)));
    let most = calibration.bins.iter().map(|bin| bin.weight).fold(0.0, f64::max);
    let [left, _, right, bottom] = frame.room();
    let step = (right - left) / calibration.bins.len() as f64;
    let marks = html! {
        @for (index, bin) in calibration.bins.iter().enumerate().filter(|(_, bin)| bin.rows > 0) {
            @let height = (48.0 * bin.weight / most).max(0.8);
            rect class="area c" style="stroke:none" x=(Px(left + step * index as f64 + 1.0)) width=(Px(step - 2.0)) y=(Px(bottom - height)) height=(Px(height)) {
                title { (count(bin.rows as f64)) " rows" }
            }
        }
        (frame.line([(0.0, 0.0), (1.0, 1.0)], "base"))
        (frame.line(filled().map(|(predicted, observed, _)| (predicted, observed)), "curve a"))
        @for (predicted, observed, bin) in filled() {
            (frame.dot(predicted, observed, 4.0, "dot a", &format!(
                "{} rows: predicted {}, observed {}", count(bin.rows as f64), fixed(predicted, 4), fixed(observed, 4)
            )))
        }
    };
    let caption = html! {
        "On the dashed line what is predicted happens that often. The grey bars are "
        @if is_weighted { "what the rows of each tenth weigh." }
        @else {
            "the rows of each tenth, " (count(calibration.bins.iter().map(|bin| bin.rows).max().unwrap_or(0) as f64)) " in the fullest."
        }
        details {
            summary { "The numbers" }
            table class="numbers" {
                tr { th scope="col" { "probability" } th scope="col" { "rows" } th scope="col" { "predicted" } th scope="col" { "observed" } }
                @for (index, bin) in calibration.bins.iter().enumerate() {
                    @let place = format!("quality/calibration/bins/{index}");
                    tr {
                        th scope="row" { (fixed(bin.low, 1)) " – " (fixed(bin.high, 1)) }
                        td { (super::text::Figure::count(format!("{place}/rows"), bin.rows as f64)) }
                        td { (super::text::Figure::optional(format!("{place}/predicted"), bin.predicted, 4)) }
                        td { (super::text::Figure::optional(format!("{place}/observed"), bin.observed, 4)) }
                    }
                }
            }
        }
    };
    figure("Calibration", &frame.picture("Observed against predicted", &marks), &caption)
}
