//! The coefficients: as marks on one scale, so that columns and classes can be compared, and as tables.

use maud::{Markup, html};

use super::marks::Marks;
use super::svg::{Scale, strip_axis};
use super::text::{Figure, NAME_WIDTH, count, counted, level_name, name, significant};
use crate::model::inference::Inference;
use crate::model::{CategoryInfo, FeatureInfo, Model, ModelColumn};
use crate::profile::Apart;

/// Features that the picture shows, the largest; of several classes about as many marks, features times classes.
const DRAWN: usize = 30;
const MARKS: usize = 100;
/// Lines of the tables that come class by class.
const LINES: usize = 200;
/// Classes beside each other in the table.
const BESIDE: usize = 12;

/// The part of a page: of the only margin, that of the positive class, or of several, whose classes are to be told apart.
struct Coefficients<'p> {
    model: &'p Model,
    marks: &'p Marks,
    is_binary: bool,
    look: &'static Look,
}

/// How one margin is shown, or several beside each other.
struct Look {
    /// Height of the lane that a margin has in the strip of a feature.
    lane: f64,
    /// How many times as far as the largest effect an interval is drawn.
    reach: f64,
    axis: &'static str,
    mark: &'static str,
    table: &'static str,
    /// Features that the table shows, the largest, and what is said of the others.
    listed: usize,
    others: &'static str,
}

const ONE: Look = Look {
    lane: 26.0,
    reach: 4.0,
    axis: "log odds",
    mark: "dot",
    table: "forest",
    listed: 300,
    others: " `gpu-logreg inspect` shows all of them.",
};
const SEVERAL: Look =
    Look { lane: 18.0, reach: 2.5, axis: "margin", mark: "mark", table: "forest lanes", listed: 200, others: "" };

/// Features as a picture or a table has them: those that stand alone, and those of a category.
struct Group<'m> {
    category: Option<&'m CategoryInfo>,
    /// With their places in the model.
    features: Vec<(usize, &'m FeatureInfo)>,
}

/// The largest effect of a feature in some margins.
fn size(feature: &FeatureInfo, margins: &[usize]) -> f64 {
    margins.iter().map(|&margin| feature.effect(margin).abs()).reduce(f64::max).unwrap_or(0.0)
}

/// The `most` features of the largest `size`, grouped, and how many are left out.
fn largest(
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
fn shown_name(feature: &FeatureInfo, category: Option<&CategoryInfo>) -> String {
    match category {
        Some(category) => level_name(&feature.name, &category.column, NAME_WIDTH),
        None if feature.name.is_empty() => "(empty)".into(),
        None => name(&feature.name),
    }
}

fn reference(category: &CategoryInfo) -> String {
    level_name(&category.name_of(0), &category.column, NAME_WIDTH)
}

pub(super) fn coefficients(model: &Model, marks: &Marks) -> Markup {
    let is_binary = model.softmax().is_none();
    Coefficients { model, marks, is_binary, look: if is_binary { &ONE } else { &SEVERAL } }.section()
}

impl Coefficients<'_> {
    /// Whether the coefficients of the margin are 0 by convention.
    fn is_reference(&self, margin: usize) -> bool {
        margin == 0 && self.model.has_reference()
    }

    fn section(&self) -> Markup {
        let Self { model, marks, is_binary, .. } = *self;
        let mut margins = if is_binary { vec![0] } else { marks.apart.classes.clone() };
        margins.retain(|&margin| !self.is_reference(margin));
        let most = if is_binary { DRAWN } else { (MARKS / margins.len().max(1)).max(4) };
        let is_drawn = |feature: &FeatureInfo| {
            !feature.aliased && margins.iter().all(|&margin| feature.effect(margin).is_finite())
        };
        let (groups, left_out) = largest(model, most, is_drawn, |feature| size(feature, &margins));
        let inferred = model.training.inference.is_some();
        html! {
            section id="coefficients" {
                h2 { "Coefficients" }
                p {
                    @if is_binary {
                        "What one standard deviation of each column does to the log odds, so that columns in different units can be compared. To the right it raises the odds, to the left it lowers them."
                    } @else {
                        "What one standard deviation of each column does to the margin of each class, so that columns in different units can be compared. To the right it makes the class likelier, to the left less likely, "
                        @if self.is_reference(0) { "against " (marks.name(0, 60)) ", which has no marks since its own coefficients are 0." }
                        @else { "against the average of the classes." }
                    }
                }
                @if !model.training.status.has_estimates() {
                    p class="soft" { "These are where the run stopped, and no estimates." }
                }
                @if !groups.is_empty() && !margins.is_empty() { (self.forest(&groups, &margins)) }
                @if left_out > 0 {
                    p class="soft" { (counted(left_out as u64, "more feature")) ", all of smaller effect, " (if left_out == 1 { "is" } else { "are" }) " not drawn." }
                }
                @if marks.apart.others > 0 {
                    p class="soft" { "These are the " (marks.apart.classes.len()) " classes with most rows; " (count(marks.apart.others as f64)) " others are not drawn." }
                }
                h3 style="margin-top:2.2rem" { "On the columns’ own scales" }
                p {
                    @if is_binary {
                        "Each coefficient is the change of the log odds for one unit of its column; "
                        @if inferred { "the odds ratio is the factor on the odds. " } @else { "its exponential is the factor on the odds. " }
                    } @else { "Each coefficient is the change of the margin of a class for one unit of its column." }
                }
                @if !is_binary && inferred { (self.class_by_class()) } @else { (self.side_by_side()) }
            }
        }
    }

    /// A strip for each feature. Several classes have a lane each in it, and marks that tell them apart; the only margin has
    /// a dot, whose colour is the sign.
    fn forest(&self, groups: &[Group<'_>], margins: &[usize]) -> Markup {
        let Self { model, marks, is_binary, look } = *self;
        let all = groups.iter().flat_map(|group| &group.features).flat_map(|(_, feature)| {
            margins.iter().map(move |&margin| (feature.effect(margin), interval(feature, margin)))
        });
        let strip = Strip::new(all, look.reach);
        let height = look.lane * margins.len() as f64;
        let lane = |feature: &FeatureInfo, margin: usize, y: f64| {
            let effect = feature.effect(margin);
            let at = strip.percent(effect);
            let slot = marks.apart.slot(margin);
            let (colour, mark) = if is_binary {
                let sign = if effect < 0.0 { "b" } else { "a" };
                (sign.to_owned(), html! { circle class={ "dot " (sign) } cx=(at) cy=(y) r="5" {} })
            } else {
                let mark = html! {
                    svg x=(at) y=(y) {
                        path class={ "mark " (marks.colour(slot)) } d={ "M0 0" (marks.shape(slot)) } { title { (marks.name(margin, 60)) ": " (significant(effect, 4)) } }
                    }
                };
                (format!("k {}", marks.colour(slot)), mark)
            };
            html! {
                @if let Some([from, to]) = interval(feature, margin) {
                    line class={ "range " (colour) } x1=(strip.percent(from)) x2=(strip.percent(to)) y1=(y) y2=(y) {}
                    @if from < strip.low { text x="0%" y=(y + 4.0) class="tick" { "◂" } }
                    @if to > strip.high { text x="100%" y=(y + 4.0) class="tick end" { "▸" } }
                } @else if !is_binary {
                    line class={ "k thin " (marks.colour(slot)) } x1=(strip.percent(0.0)) x2=(at) y1=(y) y2=(y) {}
                }
                (mark)
            }
        };
        let in_words = |feature: &FeatureInfo| -> String {
            if is_binary {
                return format!(": {}", significant(feature.effect(0), 4));
            }
            let of_class = |&class| format!(", {} {}", marks.name(class, 20), significant(feature.effect(class), 3));
            margins.iter().map(of_class).collect()
        };
        html! {
            @if !is_binary {
                p class="legend" style="margin-top:1rem" {
                    @for &class in margins { span { (marks.named(class, 40)) } }
                }
            }
            table class=(look.table) {
                @for group in groups {
                    (compared(group))
                    @for (index, feature) in &group.features {
                        @let shown = shown_name(feature, group.category);
                        tr class=[group.category.map(|_| "level")] {
                            th scope="row" { (shown) }
                            td {
                                svg class="strip" height=(height) role="img" aria-label={ (shown) (in_words(feature)) } {
                                    line class="zero" x1=(strip.percent(0.0)) x2=(strip.percent(0.0)) y1="0" y2=(height) {}
                                    @for (place, &margin) in margins.iter().enumerate() { (lane(feature, margin, look.lane * (place as f64 + 0.5))) }
                                }
                            }
                            td {
                                @if is_binary { (Figure::new(format!("effect/{index}"), feature.effect(0), 3)) }
                                @else {
                                    @for &class in margins {
                                        span { (Figure::new(format!("effect/{index}/{class}"), feature.effect(class), 3)) }
                                    }
                                }
                            }
                        }
                    }
                }
                (strip_axis(2.0, strip.scale.ticks(5), |x| strip.percent(x), look.axis, &html! { td {} }))
            }
            (strip.explained(model, look.mark))
        }
    }

    /// The table of some margins beside each other, with what is inferred of each, and with mean and standard deviation of the
    /// columns.
    fn table(
        &self,
        groups: &[Group<'_>],
        margins: &[usize],
        heads: &[Markup],
        [inferred, with_scale]: [bool; 2],
        digits: usize,
    ) -> Markup {
        let Self { model, is_binary, .. } = *self;
        // Where the JSON has it: the only margin has names of its own.
        let place = |one: &str, margin: usize| if is_binary { one.to_owned() } else { format!("{one}s/{margin}") };
        let intercept = html! {
            @for &margin in margins {
                td { (Figure::new(place("model/intercept", margin), model.intercepts[margin], digits)) }
                @if inferred {
                    @let place = if is_binary { "model/intercept_inference".into() } else { format!("model/intercepts_inference/{margin}") };
                    (inferred_cells(&place, model.inferred_intercept(margin)))
                }
            }
            @if with_scale { td colspan="2" {} }
        };
        let cells = |index: usize, feature: &FeatureInfo| {
            let of_feature = format!("model/features/{index}");
            html! {
                @for &margin in margins {
                    td { (Figure::new(place(&format!("{of_feature}/coefficient"), margin), feature.coefficients[margin], digits)) }
                    @if inferred {
                        @let place = if is_binary { of_feature.clone() } else { format!("{of_feature}/inference/{margin}") };
                        (inferred_cells(&place, feature.inferred(margin)))
                    }
                }
                @if with_scale {
                    td { (Figure::new(format!("{of_feature}/mean"), feature.mean, 4)) }
                    td { (Figure::new(format!("{of_feature}/scale"), feature.scale, 4)) }
                }
            }
        };
        numbers(heads, model.training.fit_intercept.then_some(intercept), groups, cells)
    }

    /// Features by margins: of several classes without what is inferred.
    fn side_by_side(&self) -> Markup {
        let Self { model, marks, is_binary, look } = *self;
        let margins = if is_binary { vec![0] } else { Apart::largest(model, BESIDE) };
        let more = model.intercepts.len() - margins.len();
        let (groups, left_out) = largest(model, look.listed, |_| true, |feature| size(feature, &margins));
        let inferred = is_binary && model.training.inference.is_some();
        let head = |&margin: &usize| {
            if is_binary {
                html! { "coefficient" }
            } else {
                marks.named(margin, 16)
            }
        };
        let mut heads: Vec<Markup> = margins.iter().map(head).collect();
        let of_inference: &[&str] = if inferred { &INFERRED } else { &[] };
        heads.extend(of_inference.iter().chain(&["mean", "std. dev."]).map(|head| html! { (head) }));
        // So that paper is wide enough.
        let digits = if margins.len() > 6 { 4 } else { 5 };
        html! {
            div class="wide" tabindex="0" { (self.table(&groups, &margins, &heads, [inferred, true], digits)) }
            (not_listed(look.listed, left_out, look.others))
            @if more > 0 {
                p class="soft" { "The " (BESIDE) " classes with most rows; the model has " (count(more as f64)) " more." }
            }
        }
    }

    /// A table for each class, as far as they are not too long together.
    fn class_by_class(&self) -> Markup {
        let Self { model, marks, .. } = *self;
        let inferred: Vec<usize> = (0..model.intercepts.len()).filter(|&class| !self.is_reference(class)).collect();
        let room = (LINES / model.features.len().clamp(1, LINES)).clamp(1, BESIDE);
        let mut classes = Apart::largest(model, room + 1);
        classes.retain(|class| inferred.contains(class));
        classes.truncate(room);
        let more = inferred.len() - classes.len();
        let (groups, left_out) = largest(model, LINES, |_| true, |feature| size(feature, &classes));
        let heads: Vec<Markup> = ["coefficient"].iter().chain(&INFERRED).map(|head| html! { (head) }).collect();
        html! {
            @for &class in &classes {
                p class="named" { (marks.named(class, 60)) }
                div class="wide" tabindex="0" style="margin-top:0" {
                    (self.table(&groups, &[class], &heads, [true, false], 5))
                }
            }
            (not_listed(LINES, left_out, ""))
            @if more > 0 {
                p class="soft" { "The tables of " (count(more as f64)) " more " (if more == 1 { "class" } else { "classes" }) " would be as long; the model has them." }
            }
        }
    }
}

/// The scale that the strips of a picture share.
struct Strip {
    scale: Scale,
    low: f64,
    high: f64,
    has_intervals: bool,
}

impl Strip {
    /// For effects and their intervals. An interval much longer than the effects would squeeze them: it is drawn to the
    /// edge if it is longer than `most` times the largest.
    fn new(effects: impl Iterator<Item = (f64, Option<[f64; 2]>)> + Clone, most: f64) -> Self {
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
    fn percent(&self, x: f64) -> String {
        format!("{:.2}%", 2.0 + 96.0 * ((x - self.low) / (self.high - self.low)).clamp(0.0, 1.0))
    }

    /// What the picture's marks are, and its lines, if it has any.
    fn explained(&self, model: &Model, mark: &str) -> Markup {
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
fn compared(group: &Group<'_>) -> Markup {
    html! {
        @if let Some(category) = group.category {
            tr class="group" {
                th colspan="3" { (name(&category.column)) span class="soft" style="font-weight:400" { ", compared with " (reference(category)) } }
            }
        }
    }
}

fn interval(feature: &FeatureInfo, margin: usize) -> Option<[f64; 2]> {
    let ends = feature.inferred(margin).map(|i| [i.low, i.high].map(|limit| limit * feature.scale))?;
    ends.iter().all(|end| end.is_finite()).then_some(ends)
}

/// What is inferred of one coefficient, whose place in the JSON is given.
fn inferred_cells(place: &str, inference: Option<&Inference>) -> Markup {
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
fn numbers(
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
const INFERRED: [&str; 6] = ["std. error", "z", "p", "low", "high", "odds ratio"];

/// The features that a table leaves out, if it does.
fn not_listed(listed: usize, left_out: usize, more: &str) -> Markup {
    html! {
        @if left_out > 0 {
            p class="soft" { "The " (counted(listed as u64, "feature")) " of largest effect; the model has " (counted(left_out as u64, "more feature")) "." (more) }
        }
    }
}
