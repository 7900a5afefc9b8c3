//! The coefficients: as marks on one scale, so that columns and classes can be compared, and as a table.

use maud::{Markup, html};

use super::super::coefficients::{
    Group, INFERRED, Strip, compared, inferred_cells, largest, not_drawn, numbers, shown_name,
};
use super::super::text::{Figure, count, counted, significant};
use super::marks::Marks;
use crate::model::{FeatureInfo, Model};
use crate::sketch::classes::Apart;

/// Marks that the picture has, about: features times classes.
const DRAWN: usize = 100;
/// Classes beside each other in the table.
const BESIDE: usize = 12;
/// Features of the table that has classes beside each other.
const LISTED: usize = 200;
/// Lines of the tables that come class by class.
const LINES: usize = 200;

/// Height of the lane that a class has in the strip of a feature.
const LANE: f64 = 18.0;

/// Whether the coefficients of the class are 0 by convention.
fn is_reference(model: &Model, class: usize) -> bool {
    class == 0 && model.training.identification.as_deref() != Some("centred")
}

/// The largest effect of a feature in some classes.
fn size(feature: &FeatureInfo, classes: &[usize]) -> f64 {
    classes.iter().map(|&class| feature.effect(class).abs()).fold(0.0, f64::max)
}

fn interval(feature: &FeatureInfo, class: usize) -> Option<[f64; 2]> {
    let ends = feature.inferred(class).map(|i| [i.low, i.high].map(|limit| limit * feature.scale))?;
    ends.iter().all(|end| end.is_finite()).then_some(ends)
}

pub(super) fn coefficients(model: &Model, marks: &Marks) -> Markup {
    let classes: Vec<usize> =
        marks.apart.classes.iter().copied().filter(|&class| !is_reference(model, class)).collect();
    let is_drawn =
        |feature: &FeatureInfo| !feature.aliased && classes.iter().all(|&class| feature.effect(class).is_finite());
    let (groups, left_out) =
        largest(model, (DRAWN / classes.len().max(1)).max(4), is_drawn, |feature| size(feature, &classes));
    html! {
        section id="coefficients" {
            h2 { "Coefficients" }
            p {
                "What one standard deviation of each column does to the margin of each class, so that columns in different units can be compared. To the right it makes the class likelier, to the left less likely, "
                @if is_reference(model, 0) { "against " (marks.name(0, 60)) ", which has no marks since its own coefficients are 0." }
                @else { "against the average of the classes." }
            }
            @if !model.training.status.has_estimates() {
                p class="soft" { "These are where the run stopped, and no estimates." }
            }
            @if !groups.is_empty() && !classes.is_empty() { (lanes(model, &groups, &classes, marks)) }
            (not_drawn(left_out))
            @if marks.apart.others > 0 {
                p class="soft" { "These are the " (marks.apart.classes.len()) " classes with most rows; " (count(marks.apart.others as f64)) " others are not drawn." }
            }
            h3 style="margin-top:2.2rem" { "On the columns’ own scales" }
            p { "Each coefficient is the change of the margin of a class for one unit of its column." }
            @if model.training.inference.is_some() { (class_by_class(model, marks)) } @else { (side_by_side(model, marks)) }
        }
    }
}

/// A strip for each feature, with a lane for each class.
fn lanes(model: &Model, groups: &[Group<'_>], classes: &[usize], marks: &Marks) -> Markup {
    let all = groups
        .iter()
        .flat_map(|group| &group.features)
        .flat_map(|(_, feature)| classes.iter().map(move |&class| (feature.effect(class), interval(feature, class))));
    let strip = Strip::new(all, 2.5);
    let height = LANE * classes.len() as f64;
    let lane = |feature: &FeatureInfo, class: usize, y: f64| {
        let slot = marks.apart.slot(class);
        let effect = feature.effect(class);
        html! {
            @if let Some([from, to]) = interval(feature, class) {
                line class={ "range k " (marks.colour(slot)) } x1=(strip.percent(from)) x2=(strip.percent(to)) y1=(y) y2=(y) {}
                @if from < strip.low { text x="0%" y=(y + 4.0) class="tick" { "◂" } }
                @if to > strip.high { text x="100%" y=(y + 4.0) class="tick end" { "▸" } }
            } @else {
                line class={ "k thin " (marks.colour(slot)) } x1=(strip.percent(0.0)) x2=(strip.percent(effect)) y1=(y) y2=(y) {}
            }
            svg x=(strip.percent(effect)) y=(y) {
                path class={ "mark " (marks.colour(slot)) } d={ "M0 0" (marks.shape(slot)) } { title { (marks.name(class, 60)) ": " (significant(effect, 4)) } }
            }
        }
    };
    html! {
        p class="legend" style="margin-top:1rem" {
            @for &class in classes { span { (marks.named(class, 40)) } }
        }
        table class="forest lanes" {
            @for group in groups {
                (compared(group))
                @for (index, feature) in &group.features {
                    @let shown = shown_name(feature, group.category);
                    tr class=[group.category.map(|_| "level")] {
                        th scope="row" { (shown) }
                        td {
                            svg class="strip" height=(height) role="img" aria-label={ (shown) @for &class in classes { ", " (marks.name(class, 20)) " " (significant(feature.effect(class), 3)) } } {
                                line class="zero" x1=(strip.percent(0.0)) x2=(strip.percent(0.0)) y1="0" y2=(height) {}
                                @for (place, &class) in classes.iter().enumerate() { (lane(feature, class, LANE * (place as f64 + 0.5))) }
                            }
                        }
                        td {
                            @for &class in classes {
                                span { (Figure::new(format!("effect/{index}/{class}"), feature.effect(class), 3)) }
                            }
                        }
                    }
                }
            }
            (strip.axis("margin"))
        }
        (strip.explained(model, "mark"))
    }
}

/// Features by classes.
fn side_by_side(model: &Model, marks: &Marks) -> Markup {
    let classes = Apart::largest(model, BESIDE);
    let more = model.label.classes.len() - classes.len();
    let (groups, left_out) = largest(model, LISTED, |_| true, |feature| size(feature, &classes));
    // So that paper is wide enough.
    let digits = if classes.len() > 6 { 4 } else { 5 };
    let heads: Vec<Markup> = classes
        .iter()
        .map(|&class| marks.named(class, 16))
        .chain(["mean", "std. dev."].map(|head| html! { (head) }))
        .collect();
    let intercept = html! {
        @for &class in &classes { td { (Figure::new(format!("model/intercepts/{class}"), model.intercepts[class], digits)) } }
        td colspan="2" {}
    };
    let cells = |index: usize, feature: &FeatureInfo| {
        html! {
            @for &class in &classes {
                td { (Figure::new(format!("model/features/{index}/coefficients/{class}"), feature.coefficients[class], digits)) }
            }
            td { (Figure::new(format!("model/features/{index}/mean"), feature.mean, 4)) }
            td { (Figure::new(format!("model/features/{index}/scale"), feature.scale, 4)) }
        }
    };
    html! {
        div class="wide" tabindex="0" {
            (numbers(&heads, model.training.fit_intercept.then_some(intercept), &groups, cells))
        }
        @if left_out > 0 {
            p class="soft" { "The " (counted(LISTED as u64, "feature")) " of largest effect; the model has " (counted(left_out as u64, "more feature")) "." }
        }
        @if more > 0 {
            p class="soft" { "The " (BESIDE) " classes with most rows; the model has " (count(more as f64)) " more." }
        }
    }
}

/// A table for each class, as far as they are not too long together.
fn class_by_class(model: &Model, marks: &Marks) -> Markup {
    let inferred: Vec<usize> = (0..model.label.classes.len()).filter(|&class| !is_reference(model, class)).collect();
    let room = (LINES / model.features.len().clamp(1, LINES)).clamp(1, BESIDE);
    let mut classes = Apart::largest(model, room + 1);
    classes.retain(|class| inferred.contains(class));
    classes.truncate(room);
    let more = inferred.len() - classes.len();
    let (groups, left_out) = largest(model, LINES, |_| true, |feature| size(feature, &classes));
    let heads: Vec<Markup> = ["coefficient"].iter().chain(&INFERRED).map(|head| html! { (head) }).collect();
    let intercept = |class: usize| {
        html! {
            td { (Figure::new(format!("model/intercepts/{class}"), model.intercepts[class], 5)) }
            (inferred_cells(&format!("model/intercepts_inference/{class}"), model.inferred_intercept(class)))
        }
    };
    let cells = |class: usize, index: usize, feature: &FeatureInfo| {
        html! {
            td { (Figure::new(format!("model/features/{index}/coefficients/{class}"), feature.coefficients[class], 5)) }
            (inferred_cells(&format!("model/features/{index}/inference/{class}"), feature.inferred(class)))
        }
    };
    html! {
        @for &class in &classes {
            p class="named" { (marks.named(class, 60)) }
            div class="wide" tabindex="0" style="margin-top:0" {
                (numbers(&heads, model.training.fit_intercept.then(|| intercept(class)), &groups, |index, feature| cells(class, index, feature)))
            }
        }
        @if left_out > 0 {
            p class="soft" { "The " (counted(LINES as u64, "feature")) " of largest effect; the model has " (counted(left_out as u64, "more feature")) "." }
        }
        @if more > 0 {
            p class="soft" { "The tables of " (count(more as f64)) " more " (if more == 1 { "class" } else { "classes" }) " would be as long; the model has them." }
        }
    }
}
