//! Which class is taken for which.

use maud::{Markup, html};

use super::super::text::{Figure, count, percent};
use super::marks::Marks;
use crate::metrics::ClassMetrics;

/// Classes of which the whole matrix is shown.
const WHOLE: usize = 12;

/// Pairs that are shown where it is not.
const PAIRS: usize = 20;

/// How deep the colour of a cell is that has all rows of its class.
const DEEPEST: f64 = 0.55;

pub(super) fn confusion(metrics: &ClassMetrics, marks: &Marks) -> Markup {
    html! {
        h3 class="block" { "What is taken for what" }
        @if metrics.confusion.len() <= WHOLE { (matrix(metrics, marks)) } @else { (pairs(metrics, marks)) }
    }
}

fn matrix(metrics: &ClassMetrics, marks: &Marks) -> Markup {
    let classes = 0..metrics.confusion.len();
    html! {
        div class="wide" tabindex="0" {
            table class="heat" {
                tr {
                    th { "is ↓, likeliest →" }
                    @for class in classes.clone() { th scope="col" { (marks.named(class, 16)) } }
                }
                @for (is, row) in metrics.confusion.iter().enumerate() {
                    @let total: f64 = row.iter().sum();
                    tr {
                        th scope="row" { (marks.named(is, 30)) }
                        @for (likeliest, &weight) in row.iter().enumerate() {
                            @let share = if total > 0.0 { weight / total } else { 0.0 };
                            td class=(if is == likeliest { "right" } else { "wrong" }) {
                                i style={ "opacity:" (format!("{:.3}", DEEPEST * share.sqrt())) } {}
                                (Figure::count(format!("quality/confusion/{is}/{likeliest}"), weight))
                                small { @if weight > 0.0 { (percent(share)) } @else { "\u{a0}" } }
                            }
                        }
                    }
                }
            }
        }
        p class="soft" { "Rows are the classes that rows are of, columns those of the highest probability; below each count its share of the row. Blue is right, orange is wrong, the deeper the more." }
    }
}

/// The pairs of classes that are taken for each other most.
fn pairs(metrics: &ClassMetrics, marks: &Marks) -> Markup {
    let mut found: Vec<(usize, usize, f64)> = Vec::new();
    for (is, row) in metrics.confusion.iter().enumerate() {
        let wrong = row.iter().enumerate().filter(|&(likeliest, &weight)| likeliest != is && weight > 0.0);
        found.extend(wrong.map(|(likeliest, &weight)| (is, likeliest, weight)));
    }
    found.sort_by(|a, b| b.2.total_cmp(&a.2));
    let all = found.len();
    found.truncate(PAIRS);
    html! {
        @if found.is_empty() {
            p { "Every row is of the class with the highest probability." }
        } @else {
            div class="wide" tabindex="0" {
                table class="numbers" {
                    thead { tr { @for head in ["is", "taken for", "rows", "of its class"] { th scope="col" { (head) } } } }
                    tbody {
                        @for (is, likeliest, weight) in &found {
                            tr {
                                th scope="row" { (marks.named(*is, 40)) }
                                td { (marks.named(*likeliest, 40)) }
                                td { (Figure::count(format!("quality/confusion/{is}/{likeliest}"), *weight)) }
                                td { (percent(weight / metrics.confusion[*is].iter().sum::<f64>())) }
                            }
                        }
                    }
                }
            }
            p class="soft" { "The largest confusions, " (found.len()) " of " (count(all as f64)) "." }
        }
    }
}
