//! The coefficients: as marks on one scale, so that they can be compared, and as a table.

use maud::{Markup, html};

use super::svg::Scale;
use super::text::{Figure, counted, name, significant};
use crate::model::inference::Inference;
use crate::model::{CategoryInfo, FeatureInfo, Model, ModelColumn};

/// Features that the picture shows, the largest.
const DRAWN: usize = 30;
/// Features that the table shows, the largest.
const LISTED: usize = 300;

/// Features as a picture or a table has them: those that stand alone, and those of a category.
pub(super) struct Group<'m> {
    pub(super) category: Option<&'m CategoryInfo>,
    /// With their places in the model.
    pub(super) features: Vec<(usize, &'m FeatureInfo)>,
}

/// What a standard deviation of the column does to the log odds.
fn effect(feature: &FeatureInfo) -> f64 {
    feature.effect(0)
}

/// The `most` features of the largest `size`, grouped, and how many are left out.
pub(super) fn largest(
    model: &Model,
    most: usize,
    keep: impl Fn(&FeatureInfo) -> bool,
    size: impl Fn(&FeatureInfo) -> f64,
) -> (Vec<Group<'_>>, usize) {
    let mut order: Vec<(usize, f64)> = model
        .features
        .iter()
        .enumerate()
        .filter(|(_, feature)| keep(feature))
        .map(|(index, feature)| (index, size(feature)))
        .map(|(index, size)| (index, if size.is_nan() { -1.0 } else { size }))
        .collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut order: Vec<usize> = order.into_iter().map(|(index, _)| index).collect();
    let left_out = order.len().saturating_sub(most);
    order.truncate(most);
    let mut groups = vec![Group { category: None, features: Vec::new() }];
    let mut next = 0;
    for column in model.columns() {
        match column {
            ModelColumn::Feature(_) => next += 1,
            ModelColumn::Category(category, levels) => {
                let of_category = next..next + levels.len();
                // Levels keep their order, which is often a natural one.
                let features: Vec<_> = of_category
                    .clone()
                    .filter(|index| order.contains(index))
                    .map(|index| (index, &model.features[index]))
                    .collect();
                next = of_category.end;
                if !features.is_empty() {
                    groups.push(Group { category: Some(category), features });
                }
            }
        }
    }
    let alone = order.iter().filter(|&&index| model.features[index].category.is_none());
    groups[0].features = alone.map(|&index| (index, &model.features[index])).collect();
    groups.retain(|group| !group.features.is_empty());
    (groups, left_out)
}

/// The name of a feature in its group.
pub(super) fn shown_name(feature: &FeatureInfo, category: Option<&CategoryInfo>) -> String {
    let text = match category {
        Some(category) => feature.name.strip_prefix(&format!("{}=", category.column)).unwrap_or(&feature.name),
        None => &feature.name,
    };
    if text.is_empty() { "(empty)".into() } else { name(text) }
}

pub(super) fn reference(category: &CategoryInfo) -> String {
    let whole = category.name_of(0);
    let level = whole.strip_prefix(&format!("{}=", category.column)).unwrap_or(&whole);
    if level.is_empty() { "(empty)".into() } else { name(level) }
}

pub(super) fn coefficients(model: &Model) -> Markup {
    let (groups, left_out) = largest(
        model,
        DRAWN,
        |feature| !feature.aliased && effect(feature).is_finite(),
        |feature| effect(feature).abs(),
    );
    html! {
        section id="coefficients" {
            h2 { "Coefficients" }
            p { "What one standard deviation of each column does to the log odds, so that columns in different units can be compared. To the right it raises the odds, to the left it lowers them." }
            @if !model.training.status.has_estimates() {
                p class="soft" { "These are where the run stopped, and no estimates." }
            }
            @if !groups.is_empty() { (forest(model, &groups)) }
            (not_drawn(left_out))
            (table(model))
        }
    }
}

/// So many features are not in the picture.
pub(super) fn not_drawn(left_out: usize) -> Markup {
    html! {
        @if left_out > 0 {
            p class="soft" { (counted(left_out as u64, "more feature")) ", all of smaller effect, " (if left_out == 1 { "is" } else { "are" }) " not drawn." }
        }
    }
}

/// The scale that the strips of a picture share.
pub(super) struct Strip {
    scale: Scale,
    pub(super) low: f64,
    pub(super) high: f64,
    has_intervals: bool,
}

impl Strip {
    /// For effects and their intervals. An interval much longer than the effects would squeeze them: it is drawn to the
    /// edge if it is longer than `most` times the largest.
    pub(super) fn new(effects: impl Iterator<Item = (f64, Option<[f64; 2]>)> + Clone, most: f64) -> Self {
        let largest = effects.clone().map(|(effect, _)| effect.abs()).fold(0.0, f64::max);
        let reach = if largest > 0.0 { most * largest } else { f64::INFINITY };
        let has_intervals = effects.clone().any(|(_, interval)| interval.is_some());
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        for (effect, interval) in effects {
            let ends = interval.unwrap_or([effect; 2]);
            low = low.min(effect).min(ends[0].max(-reach));
            high = high.max(effect).max(ends[1].min(reach));
        }
        let scale = Scale::linear(low, high).nice(5);
        let [low, high] = scale.ends();
        Self { scale, low, high, has_intervals }
    }

    /// In percent of the strip, so that it is as wide as the page lets it be.
    pub(super) fn percent(&self, x: f64) -> String {
        format!("{:.2}%", 2.0 + 96.0 * ((x - self.low) / (self.high - self.low)).clamp(0.0, 1.0))
    }

    /// The last row of the picture: the axis and what it measures.
    pub(super) fn axis(&self, name: &str) -> Markup {
        html! {
            tr {
                th {}
                td {
                    svg class="strip" height="40" aria-hidden="true" {
                        line class="axis" x1="2%" x2="98%" y1="1" y2="1" {}
                        @for tick in self.scale.ticks(5) {
                            @let x = self.percent(tick.at);
                            line class="axis" x1=(x) x2=(x) y1="1" y2="5" {}
                            text class="tick middle" x=(x) y="19" { (tick.label) }
                        }
                        text class="name middle" x="50%" y="36" { (name) }
                    }
                }
                td {}
            }
        }
    }

    /// What the picture's marks are, and its lines, if it has any.
    pub(super) fn explained(&self, model: &Model, mark: &str) -> Markup {
        html! {
            p class="soft" {
                "Each " (mark) " is a coefficient times its column’s standard deviation"
                @if self.has_intervals {
                    @if let Some(info) = &model.training.inference {
                        ", each line its interval of " (significant(100.0 * info.confidence, 4).trim_end_matches('0').trim_end_matches('.')) " % confidence (" (info.kind) ")"
                    }
                }
                "."
            }
        }
    }
}

/// What stands above the levels of a category in the picture.
pub(super) fn compared(group: &Group<'_>) -> Markup {
    html! {
        @if let Some(category) = group.category {
            tr class="group" {
                th colspan="3" { (name(&category.column)) span class="soft" style="font-weight:400" { ", compared with " (reference(category)) } }
            }
        }
    }
}

fn interval(feature: &FeatureInfo) -> Option<[f64; 2]> {
    let ends = feature.inferred(0).map(|i| [i.low, i.high].map(|limit| limit * feature.scale))?;
    ends.iter().all(|end| end.is_finite()).then_some(ends)
}

fn forest(model: &Model, groups: &[Group<'_>]) -> Markup {
    let all = groups.iter().flat_map(|group| &group.features).map(|(_, feature)| (effect(feature), interval(feature)));
    let strip = Strip::new(all, 4.0);
    html! {
        table class="forest" {
            @for group in groups {
                (compared(group))
                @for (index, feature) in &group.features {
                    @let effect = effect(feature);
                    @let class = if effect < 0.0 { "b" } else { "a" };
                    @let shown = shown_name(feature, group.category);
                    tr class=[group.category.map(|_| "level")] {
                        th scope="row" { (shown) }
                        td {
                            svg class="strip" height="26" role="img" aria-label={ (shown) ": " (significant(effect, 4)) } {
                                line class="zero" x1=(strip.percent(0.0)) x2=(strip.percent(0.0)) y1="0" y2="26" {}
                                @if let Some([from, to]) = interval(feature) {
                                    line class={ "range " (class) } x1=(strip.percent(from)) x2=(strip.percent(to)) y1="13" y2="13" {}
                                    @if from < strip.low { text x="0%" y="17" class="tick" { "◂" } }
                                    @if to > strip.high { text x="100%" y="17" class="tick end" { "▸" } }
                                }
                                circle class={ "dot " (class) } cx=(strip.percent(effect)) cy="13" r="5" {}
                            }
                        }
                        td { (Figure::new(format!("effect/{index}"), effect, 3)) }
                    }
                }
            }
            (strip.axis("log odds"))
        }
        (strip.explained(model, "dot"))
    }
}

/// What is inferred of one coefficient, whose place in the JSON is given.
pub(super) fn inferred_cells(place: &str, inference: Option<&Inference>) -> Markup {
    html! {
        @match inference {
            Some(i) => {
                td { (Figure::new(format!("{place}/standard_error"), i.standard_error, 3)) }
                td { (Figure::fixed(format!("{place}/z"), i.z, 2)) }
                td { (Figure::new(format!("{place}/p"), i.p, 2)) }
                td { (Figure::new(format!("{place}/low"), i.low, 4)) }
                td { (Figure::new(format!("{place}/high"), i.high, 4)) }
                td { (Figure::new(format!("{place}/odds_ratio"), i.odds_ratio, 4)) }
            }
            None => td colspan="6" {},
        }
    }
}

/// The name of a feature, and what else is to be said of it.
fn head(feature: &FeatureInfo, group: &Group<'_>) -> Markup {
    html! {
        th scope="row" {
            (shown_name(feature, group.category))
            @if let Some(unit) = &feature.unit { " " span class="soft" { "in " (unit) } }
            @if feature.aliased { " " span class="soft" { "dropped: columns before it explain it" } }
        }
    }
}

/// A table of figures under these heads: the intercept, if there is one, and the features, as `cells` has them.
pub(super) fn numbers(
    heads: &[Markup],
    intercept: Option<Markup>,
    groups: &[Group<'_>],
    cells: impl Fn(usize, &FeatureInfo) -> Markup,
) -> Markup {
    html! {
        table class="numbers" {
            thead {
                tr {
                    th scope="col" { "column" }
                    @for head in heads { th scope="col" { (head) } }
                }
            }
            tbody {
                @if let Some(cells) = intercept {
                    tr { th scope="row" { "intercept" } (cells) }
                }
                @for group in groups {
                    @if let Some(category) = group.category {
                        tr class="group" { th colspan=(heads.len() + 1) { (name(&category.column)) } }
                        tr class="level" { th scope="row" { (reference(category)) } td class="soft" { "reference" } td colspan=(heads.len() - 1) {} }
                    }
                    @for (index, feature) in &group.features {
                        tr class=[group.category.map(|_| "level")] { (head(feature, group)) (cells(*index, feature)) }
                    }
                }
            }
        }
    }
}

/// The heads of [`inferred_cells`].
pub(super) const INFERRED: [&str; 6] = ["std. error", "z", "p", "low", "high", "odds ratio"];

fn table(model: &Model) -> Markup {
    let (groups, left_out) = largest(model, LISTED, |_| true, |feature| effect(feature).abs());
    let inferred = model.training.inference.is_some();
    let of_inference: &[&str] = if inferred { &INFERRED } else { &[] };
    let heads: Vec<Markup> =
        ["coefficient"].iter().chain(of_inference).chain(&["mean", "std. dev."]).map(|head| html! { (head) }).collect();
    let intercept = html! {
        td { (Figure::new("model/intercept", model.intercepts[0], 5)) }
        @if inferred { (inferred_cells("model/intercept_inference", model.inferred_intercept(0))) }
        td colspan="2" {}
    };
    let cells = |index: usize, feature: &FeatureInfo| {
        let place = format!("model/features/{index}");
        html! {
            td { (Figure::new(format!("{place}/coefficient"), feature.coefficients[0], 5)) }
            @if inferred { (inferred_cells(&place, feature.inferred(0))) }
            td { (Figure::new(format!("{place}/mean"), feature.mean, 4)) }
            td { (Figure::new(format!("{place}/scale"), feature.scale, 4)) }
        }
    };
    html! {
        h3 style="margin-top:2.2rem" { "On the columns’ own scales" }
        p {
            "Each coefficient is the change of the log odds for one unit of its column; "
            @if inferred { "the odds ratio is the factor on the odds. " } @else { "its exponential is the factor on the odds. " }
        }
        div class="wide" tabindex="0" {
            (numbers(&heads, model.training.fit_intercept.then_some(intercept), &groups, cells))
        }
        @if left_out > 0 {
            p class="soft" { "The " (counted(LISTED as u64, "feature")) " of largest effect; the model has " (counted(left_out as u64, "more feature")) ". `gpu-logreg inspect` shows all of them." }
        }
    }
}
