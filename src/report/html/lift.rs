//! How much is gained by looking at the highest scores first.

use maud::{Markup, html};

use super::svg::{Frame, Px, Scale, Tick, figure, label};
use super::text::{Figure, fixed, percent, shortened};
use crate::metrics::LiftRow;

const HEIGHT: f64 = 300.0;

pub(super) fn lift(rows: &[LiftRow], positive: &str, is_weighted: bool) -> Markup {
    let highest = rows.iter().map(|row| row.lift).fold(1.0, f64::max);
    let y = Scale::linear(0.0, highest).nice(4);
    let x = Scale::linear(0.5, rows.len() as f64 + 0.5);
    let ticks = rows.iter().map(|row| Tick { at: row.decile as f64, label: row.decile.to_string() }).collect();
    let frame = Frame::with_ticks(
        x,
        y,
        HEIGHT,
        [
            if is_weighted {
                "tenth of the weight, the highest scores first"
            } else {
                "tenth of the rows, the highest scores first"
            },
            &format!("{} against the average", shortened(positive, 24)),
        ],
        [ticks, y.ticks(4)],
    );
    let marks = html! {
        @for row in rows {
            @let [from, to] = [-0.36, 0.36].map(|off| frame.x.at(row.decile as f64 + off));
            @let top = frame.y.at(row.lift);
            rect class={ "bar" @if row.lift < 1.0 { " b" } } x=(Px(from)) width=(Px(to - from)) y=(Px(top)) height=(Px(frame.y.at(0.0) - top)) {
                title { (fixed(row.lift, 3)) " times, " (percent(row.rate)) " of them" }
            }
        }
        (frame.line([(0.5, 1.0), (rows.len() as f64 + 0.5, 1.0)], "base"))
        @for row in rows {
            (label(frame.x.at(row.decile as f64), frame.y.at(row.lift) - 5.0, "tick middle halo", &fixed(row.lift, 2)))
        }
    };
    let first = &rows[0];
    let caption = html! {
        "The tenth with the highest scores has " b { (Figure::fixed("quality/lift/0/lift", first.lift, 2)) } " times the average share of "
        (positive) ", and " (percent(first.gain.value)) " of all; the dashed line is no gain."
    };
    figure("Lift", &frame.picture("Lift by tenths", &marks), &caption)
}
