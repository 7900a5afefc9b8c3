//! A model of two numbers: where each class is the likeliest, and how likely it is there.

use std::f64::consts::TAU;

use maud::{Markup, html};

use super::axis::{Axis, at_means, points};
use super::boundary::clip;
use super::marks::Marks;
use super::svg::{Frame, LABEL_WIDTH, Scale, figure, label};
use super::text::{count, some_rows};
use crate::model::Model;
use crate::profile::Profile;

const HEIGHT: f64 = 400.0;

/// Probabilities from which on a region is darker.
const LEVELS: [f64; 3] = [0.5, 0.75, 0.95];

/// Rays from which the edge of a darker part is made, and how often the angle between two of them is halved at most.
const RAYS: u32 = 24;
const HALVES: u32 = 8;

/// How far an edge may be off, in parts of the picture's width.
const FINE: f64 = 5e-4;

/// Characters of the name of a region.
const NAME: usize = 18;

/// The margins of the classes over the square of 0..1: `at + slope . (x, y)`.
struct Planes(Vec<[f64; 3]>);

type Place = (f64, f64);

const SQUARE: [Place; 4] = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];

impl Planes {
    fn new(model: &Model, x: &Axis<'_>, y: &Axis<'_>) -> Self {
        let plane = |(class, at): (usize, f64)| {
            let [a, b] = [x, y].map(|axis| axis.feature.coefficients[class]);
            let corner = at + a * (x.low - x.feature.mean) + b * (y.low - y.feature.mean);
            [corner, a * (x.high - x.low), b * (y.high - y.low)]
        };
        Self(at_means(model).into_iter().enumerate().map(plane).collect())
    }

    fn margin(&self, class: usize, (x, y): Place) -> f64 {
        let [at, a, b] = self.0[class];
        at + a * x + b * y
    }

    fn probability(&self, class: usize, place: Place) -> f64 {
        let own = self.margin(class, place);
        1.0 / (0..self.0.len()).map(|other| (self.margin(other, place) - own).exp()).sum::<f64>()
    }

    /// Where a class is the likeliest: a convex polygon, or nothing.
    fn region(&self, class: usize) -> Vec<Place> {
        let mut polygon = SQUARE.to_vec();
        for other in (0..self.0.len()).filter(|&other| other != class) {
            if polygon.len() < 3 {
                return Vec::new();
            }
            polygon = clip(&polygon, |place| self.margin(class, place) - self.margin(other, place));
        }
        polygon
    }

    /// Where a class has at least the probability `level`: convex too, since `1/p` is a sum of exponentials of what is
    /// linear. So it is what rays from its likeliest place reach.
    fn part(&self, class: usize, level: f64, region: &[Place]) -> Vec<Place> {
        const GRID: u32 = 24;
        let grid = (0..=GRID).flat_map(|i| (0..=GRID).map(move |j| (i, j)));
        let grid = grid.map(|(i, j)| (f64::from(i) / f64::from(GRID), f64::from(j) / f64::from(GRID)));
        let candidates = grid.chain(region.iter().copied()).chain([centre(region).0]);
        let likeliest =
            candidates.map(|place| (self.probability(class, place), place)).max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, from)) = likeliest.filter(|(p, _)| *p > level) else { return Vec::new() };
        let reached = |angle: f64| self.reached(class, level, from, angle);
        let corners = SQUARE.iter().map(|corner| (corner.1 - from.1).atan2(corner.0 - from.0).rem_euclid(TAU));
        let mut angles: Vec<f64> = (0..=RAYS).map(|k| TAU * f64::from(k) / f64::from(RAYS)).chain(corners).collect();
        angles.sort_by(f64::total_cmp);
        let mut edge = Vec::new();
        for pair in angles.windows(2) {
            let [begin, end] = [pair[0], pair[1]].map(|angle| (angle, reached(angle)));
            edge.push(begin.1);
            between(&reached, begin, end, HALVES, &mut edge);
        }
        edge.dedup_by(|a, b| (a.0 - b.0).hypot(a.1 - b.1) < 0.1 * FINE);
        edge
    }

    /// How far a ray goes before the class is less likely than `level`, or to the end of the square.
    fn reached(&self, class: usize, level: f64, from: Place, angle: f64) -> Place {
        // A ray along a side stays there.
        let way = [angle.cos(), angle.sin()].map(|x| if x.abs() < 1e-9 { 0.0 } else { x });
        let at = |t: f64| ((from.0 + t * way[0]).clamp(0.0, 1.0), (from.1 + t * way[1]).clamp(0.0, 1.0));
        let wall = |from: f64, way: f64| match way {
            0.0 => f64::INFINITY,
            _ if way > 0.0 => (1.0 - from) / way,
            _ => -from / way,
        };
        let (mut inside, mut outside) = (0.0, wall(from.0, way[0]).min(wall(from.1, way[1])).max(0.0));
        if self.probability(class, at(outside)) >= level {
            return at(outside);
        }
        while outside - inside > 0.1 * FINE {
            let middle = f64::midpoint(inside, outside);
            *(if self.probability(class, at(middle)) >= level { &mut inside } else { &mut outside }) = middle;
        }
        at(inside)
    }
}

/// The points of an edge between two rays, as far as they are off the line.
fn between(
    reached: &impl Fn(f64) -> Place,
    begin: (f64, Place),
    end: (f64, Place),
    halves: u32,
    edge: &mut Vec<Place>,
) {
    let angle = f64::midpoint(begin.0, end.0);
    let place = reached(angle);
    let (a, b) = ((place.0 - begin.1.0, place.1 - begin.1.1), (end.1.0 - begin.1.0, end.1.1 - begin.1.1));
    let length = b.0.hypot(b.1);
    let off = if length > FINE { (a.0 * b.1 - a.1 * b.0).abs() / length } else { a.0.hypot(a.1) };
    if halves > 0 && off > FINE {
        between(reached, begin, (angle, place), halves - 1, edge);
        edge.push(place);
        between(reached, (angle, place), end, halves - 1, edge);
    }
}

/// The centre of a polygon, and its area.
fn centre(polygon: &[Place]) -> (Place, f64) {
    let next = polygon.iter().cycle().skip(1);
    let (mut x, mut y, mut area) = (0.0, 0.0, 0.0);
    for (a, b) in polygon.iter().zip(next) {
        let part = a.0 * b.1 - b.0 * a.1;
        area += 0.5 * part;
        x += part * (a.0 + b.0) / 6.0;
        y += part * (a.1 + b.1) / 6.0;
    }
    if area.abs() > 0.0 { ((x / area, y / area), area.abs()) } else { ((0.5, 0.5), 0.0) }
}

pub(super) fn regions(model: &Model, x: &Axis<'_>, y: &Axis<'_>, profile: &Profile, marks: &Marks) -> Markup {
    let planes = Planes::new(model, x, y);
    let frame = Frame::new(
        Scale::linear(x.low, x.high),
        Scale::linear(y.low, y.high),
        HEIGHT,
        &x.label(LABEL_WIDTH),
        &y.label(LABEL_WIDTH),
    );
    let in_numbers = |(a, b): &Place| (x.low + a * (x.high - x.low), y.low + b * (y.high - y.low));
    let outline = |polygon: &[Place]| frame.path(polygon.iter().map(in_numbers)) + "Z";
    let found: Vec<(usize, Vec<Place>)> = (0..model.label.classes.len())
        .map(|class| (class, planes.region(class)))
        .filter(|(_, region)| region.len() > 2)
        .collect();
    let drawn = || found.iter().map(|(class, region)| (*class, marks.apart.slot(*class), region));
    let [left, top, right, bottom] = frame.room();
    let mut names: Vec<(f64, f64, String)> = Vec::new();
    for (class, slot, region) in drawn() {
        let (middle, area) = centre(region);
        let name = marks.name(class, NAME);
        let half = 3.6 * name.chars().count() as f64 + 4.0;
        if slot < marks.apart.classes.len() && area > 0.01 && 2.0 * half < right - left {
            let (a, b) = in_numbers(&middle);
            let (at, down) =
                (frame.x.at(a).clamp(left + half, right - half), frame.y.at(b).clamp(top + 16.0, bottom - 10.0));
            if names.iter().all(|(x, y, other)| {
                (x - at).abs() > half + 3.6 * other.chars().count() as f64 || (y - down).abs() > 16.0
            }) {
                names.push((at, down, name));
            }
        }
    }
    let inside = |slot: usize| points(profile, slot, [x, y]);
    let picture = html! {
        @for (class, slot, region) in drawn() {
            path class={ "region " (marks.colour(slot)) } d=(outline(region)) {}
            @if slot < marks.apart.classes.len() {
                @for level in LEVELS {
                    @let part = planes.part(class, level, region);
                    @if part.len() > 2 { path class={ "region " (marks.colour(slot)) } d=(outline(&part)) {} }
                }
            }
        }
        @for (_, _, region) in drawn() { path class="edge" d=(outline(region)) {} }
        @for slot in marks.slots().rev() { (marks.marks(slot, inside(slot).map(|(a, b)| (frame.x.at(a), frame.y.at(b))))) }
        @for (x, y, name) in &names { (label(*x, *y, "strong middle halo", name)) }
    };
    let shown: usize = marks.slots().map(|slot| inside(slot).count()).sum();
    let caption = html! {
        "In each region its class is the likeliest; the deeper its colour, the likelier: from 50 %, 75 % and 95 % on. Marks are "
        (some_rows(shown, profile.rows))
        ", by the class that they were."
        @let without = model.label.classes.len() - found.len();
        @if without > 0 { " " (count(without as f64)) (if without == 1 { " class is" } else { " classes are" }) " nowhere the likeliest here." }
    };
    let picture = html! { (marks.legend()) (frame.picture("Regions of the classes", &picture)) };
    figure("The regions of the classes", &picture, &caption)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes() -> Planes {
        Planes(vec![[0.0, 0.0, 0.0], [-3.0, 8.0, 1.0], [-4.0, 2.0, 9.0], [-50.0, 1.0, 1.0]])
    }

    #[test]
    fn regions_are_where_a_class_is_the_likeliest() {
        let planes = planes();
        let regions: Vec<Vec<Place>> = (0..4).map(|class| planes.region(class)).collect();
        let areas: Vec<f64> = regions.iter().map(|region| centre(region).1).collect();
        assert!((areas.iter().sum::<f64>() - 1.0).abs() <= 1e-12 && areas[3] == 0.0, "{areas:?}");
        let mut counts = [0.0; 4];
        for (i, j) in (0..200).flat_map(|i| (0..200).map(move |j| (i, j))) {
            let place = (0.005 * (f64::from(i) + 0.5), 0.005 * (f64::from(j) + 0.5));
            let best = (0..4).max_by(|&a, &b| planes.margin(a, place).total_cmp(&planes.margin(b, place)));
            counts[best.expect("four")] += 1.0 / 40_000.0;
        }
        assert!(areas.iter().zip(counts).all(|(area, count)| (area - count).abs() <= 2e-3), "{areas:?} {counts:?}");
    }

    #[test]
    fn darker_parts_are_where_it_is_that_likely() {
        let planes = planes();
        for (class, level) in [(0, 0.5), (1, 0.75), (2, 0.95)] {
            let part = planes.part(class, level, &planes.region(class));
            let mut share = 0.0;
            for (i, j) in (0..1000).flat_map(|i| (0..1000).map(move |j| (i, j))) {
                let place = (0.001 * (f64::from(i) + 0.5), 0.001 * (f64::from(j) + 0.5));
                share += if planes.probability(class, place) >= level { 1e-6 } else { 0.0 };
            }
            let (_, area) = centre(&part);
            assert!(share > 0.01 && (area - share).abs() <= 4e-4, "{class} {level}: {area} {share}");
        }
        assert!(planes.part(3, 0.5, &[]).is_empty());
    }
}
