//! The loss of a model of one number over both of its parameters, and the way of the solver through it.

use maud::{Markup, html};

use super::svg::{Frame, Px, Scale, figure, label, legend};
use super::text::{counted, shortened, significant};
use super::{Page, RowsFrom};
use crate::model::Model;
use crate::penalty::PenaltyScale;
use crate::profile::{Loss, Minimum};

const HEIGHT: f64 = 360.0;

/// Cells of the grid on either axis.
const CELLS: usize = 64;

/// From line to line the loss is this many times as far above its minimum.
const RATIO: f64 = 2.0;
/// Lines within that of the start, and beyond it.
const WITHIN: i32 = 7;
const BEYOND: i32 = 7;

/// The innermost line that has a name.
const NAMED: i32 = 4;

/// Points of the way that have a dot of their own.
const DOTS: usize = 60;
/// Points nearer to the last one that was drawn, in units, are left out of a long way.
const NEAR: f64 = 0.4;

type Point = [f64; 2];

/// Places `(x, y)` from low to high, on both axes.
#[derive(Clone, Copy, Debug)]
struct Room {
    low: Point,
    high: Point,
}

impl Room {
    /// What holds these points.
    fn of(points: impl Iterator<Item = Point>) -> Self {
        let start = Self { low: [f64::INFINITY; 2], high: [f64::NEG_INFINITY; 2] };
        points.fold(start, |room, point| Self {
            low: [0, 1].map(|axis| room.low[axis].min(point[axis])),
            high: [0, 1].map(|axis| room.high[axis].max(point[axis])),
        })
    }

    fn size(&self) -> Point {
        [0, 1].map(|axis| self.high[axis] - self.low[axis])
    }

    fn grown(&self, by: Point) -> Self {
        Self { low: [0, 1].map(|axis| self.low[axis] - by[axis]), high: [0, 1].map(|axis| self.high[axis] + by[axis]) }
    }

    fn at(&self, column: usize, row: usize) -> Point {
        let share = [column, row].map(|index| index as f64 / CELLS as f64);
        [0, 1].map(|axis| self.low[axis] + share[axis] * (self.high[axis] - self.low[axis]))
    }
}

/// Where the way and the start's line have room.
fn room(way: &[Point], minimum: Option<&Minimum>, height: f64) -> Room {
    let points = Room::of(way.iter().copied().chain(minimum.map(|minimum| minimum.point)));
    let size = points.size();
    // A way along one axis is no line without breadth.
    let least = 0.15 * size[0].max(size[1]);
    let around = points.grown([0, 1].map(|axis| (0.2 * size[axis]).max(least)));
    let Some(minimum) = minimum else { return around };
    // The ellipse on which a paraboloid with this Hessian is as high as the start.
    let [aa, ab, bb] = minimum.hessian;
    let half = [bb, aa].map(|of| 1.15 * (2.0 * height * of / (aa * bb - ab * ab)).sqrt());
    if !half.iter().all(|half| half.is_finite()) {
        return around;
    }
    let ellipse = [0, 1].map(|axis| minimum.point[axis] - half[axis]);
    let opposite = [0, 1].map(|axis| minimum.point[axis] + half[axis]);
    Room::of([ellipse, opposite].into_iter().chain([points.low, points.high])).grown(size.map(|size| 0.05 * size))
}

/// Lines through a grid `[CELLS + 1][CELLS + 1]` of heights on which they are `level`: one or two in each cell that has
/// corners on both sides, interpolated along its edges.
///
/// # Reference
/// Lorensen and Cline (1987), "Marching cubes", in the plane.
fn lines(grid: &[Vec<f64>], room: &Room, level: f64) -> Vec<[Point; 2]> {
    let mut found = Vec::new();
    for row in 0..CELLS {
        for column in 0..CELLS {
            let corners = [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)];
            let crossings: Vec<Point> = (0..4)
                .filter_map(|index| {
                    let [from, to] = [corners[index], corners[(index + 1) % 4]];
                    let [a, b] = [from, to].map(|(column, row)| grid[row][column] - level);
                    let share = a / (a - b);
                    let [p, q] = [from, to].map(|(column, row)| room.at(column, row));
                    ((a < 0.0) != (b < 0.0)).then(|| [0, 1].map(|axis| p[axis] + share * (q[axis] - p[axis])))
                })
                .collect();
            found.extend(crossings.chunks_exact(2).map(|pair| [pair[0], pair[1]]));
        }
    }
    found
}

/// The parameters of the iterations: coefficient for a standard deviation, and intercept at the mean.
fn way(page: &Page<'_>) -> Option<Vec<Point>> {
    let points = page.steps.iter().map(|step| <Point>::try_from(step.point.as_slice()).ok());
    let points: Vec<Point> = points.collect::<Option<_>>()?;
    points.iter().flatten().all(|x| x.is_finite()).then_some(points)
}

/// The loss of the training's rows, with the penalty, if the page has them.
fn objective(page: &Page<'_>) -> Option<Loss> {
    let quality = page.quality.as_ref().filter(|quality| quality.rows == RowsFrom::Training)?;
    let Model { training, features, .. } = page.model;
    // The picture has a smooth penalty.
    if training.l1 > 0.0 {
        return None;
    }
    let penalty = match training.penalty_scale {
        PenaltyScale::Standardized => training.l2,
        PenaltyScale::Original => training.l2 / features[0].scale / features[0].scale,
    };
    Some(quality.profile.two.as_ref()?.loss.as_ref()?.loss()?.penalized(penalty))
}

/// The way without points that nobody could tell apart.
fn thinned(way: &[(f64, f64)], frame: &Frame) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (index, &(a, b)) in way.iter().enumerate() {
        let is_near = kept
            .last()
            .is_some_and(|&(x, y)| (frame.x.at(x) - frame.x.at(a)).hypot(frame.y.at(y) - frame.y.at(b)) < NEAR);
        if !is_near || index + 1 == way.len() {
            kept.push((a, b));
        }
    }
    kept
}

/// Numbers on some of the lines, next to each other nowhere.
struct Names {
    taken: Vec<(f64, f64)>,
    names: Vec<(f64, f64, String)>,
}

impl Names {
    /// A name for a line at the highest of its places that has room.
    fn add(&mut self, places: impl Iterator<Item = (f64, f64)>, [left, top, right, bottom]: [f64; 4], name: String) {
        let is_free = |place: &(f64, f64)| {
            let (x, y) = *place;
            let inside = x > left + 20.0 && x < right - 20.0 && y > top + 10.0 && y < bottom - 10.0;
            let apart = |(other, above): &(f64, f64), width: f64, height: f64| {
                (other - x).abs() > width || (above - y).abs() > height
            };
            inside
                && self.taken.iter().all(|place| apart(place, 34.0, 14.0))
                && self.names.iter().all(|(x, y, _)| apart(&(*x, *y), 48.0, 18.0))
        };
        let free = places.filter(is_free).min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((x, y)) = free {
            self.names.push((x, y, name));
        }
    }
}

pub(super) fn contours(page: &Page<'_>) -> Option<Markup> {
    let (way, loss) = (way(page)?, objective(page)?);
    let feature = page.model.features.first()?;
    let (start, end) = (*way.first()?, *way.last()?);
    let minimum = loss.minimum(end);
    let at_start = loss.at(start);
    let room = room(&way, minimum.as_ref(), at_start - minimum.map_or(at_start, |minimum| minimum.value));
    let heights: Vec<Vec<f64>> =
        (0..=CELLS).map(|row| (0..=CELLS).map(|column| loss.at(room.at(column, row))).collect()).collect();
    let lowest = heights.iter().flatten().copied().chain(way.iter().map(|point| loss.at(*point)));
    let lowest = lowest.chain(minimum.map(|minimum| minimum.value)).fold(f64::INFINITY, f64::min);
    let height = at_start - lowest;
    if way.len() < 2 || height.is_nan() || height <= 1e-9 * at_start {
        return None;
    }
    // Roots of heights above a minimum are nearly linear on the way from it: so lines through a grid of them are smooth.
    let roots: Vec<Vec<f64>> =
        heights.iter().map(|row| row.iter().map(|value| (value - lowest).max(0.0).sqrt()).collect()).collect();
    let levels = (-WITHIN..=BEYOND).map(|power| (power, height * RATIO.powi(power)));
    let levels: Vec<(i32, f64, Vec<[Point; 2]>)> = levels
        .map(|(power, above)| (power, lowest + above, lines(&roots, &room, above.sqrt())))
        .filter(|(.., lines)| !lines.is_empty())
        .collect();

    let unit = feature.unit.as_ref().map_or_else(String::new, |unit| format!(" ({unit})"));
    let frame = Frame::new(
        Scale::linear(room.low[0], room.high[0]),
        Scale::linear(room.low[1], room.high[1]),
        HEIGHT,
        &format!("log odds for a standard deviation of {}", shortened(&(feature.name.clone() + &unit), 24)),
        "intercept: log odds at the mean",
    );
    let pairs: Vec<(f64, f64)> = way.iter().map(|&[a, b]| (a, b)).collect();
    let drawn = thinned(&pairs, &frame);
    let place = |(a, b): (f64, f64)| (frame.x.at(a), frame.y.at(b));
    let along = pairs.windows(2).take(DOTS).flat_map(|pair| {
        (0..=8).map(|k| {
            let share = f64::from(k) / 8.0;
            (pair[0].0 + share * (pair[1].0 - pair[0].0), pair[0].1 + share * (pair[1].1 - pair[0].1))
        })
    });
    let lowest_point = minimum.map(|Minimum { point: [a, b], .. }| (a, b));
    let mut names = Names { taken: along.chain(lowest_point).map(place).collect(), names: Vec::new() };
    let middle = |line: &[Point; 2]| {
        let [x, y] = [0, 1].map(|axis| f64::midpoint(line[0][axis], line[1][axis]));
        place((x, y))
    };
    // The start's line first, then every other one.
    let mut order: Vec<_> = levels.iter().filter(|(power, ..)| power % 2 == 0 && *power >= -NAMED).collect();
    order.sort_by_key(|(power, ..)| (power.abs(), *power));
    for (_, value, lines) in order {
        names.add(lines.iter().map(middle), frame.room(), significant(*value, 4));
    }
    let gap = (f64::NAN, f64::NAN);
    let marks = html! {
        @for (power, _, lines) in &levels {
            path class="c" style=(if *power == 0 { "fill:none;stroke-width:1.8" } else { "fill:none;stroke-opacity:.55" })
                d=(frame.path(lines.iter().flat_map(|&[[a, b], [c, d]]| [(a, b), (c, d), gap]))) {}
        }
        (frame.line(drawn.iter().copied(), "curve a"))
        @if pairs.len() <= DOTS {
            @for (number, (a, b)) in pairs.iter().enumerate() {
                (frame.dot(*a, *b, 3.0, "dot a", &format!(
                    "{} after iteration {number}, at {} and {}",
                    significant(page.steps[number].value, 7), significant(*a, 4), significant(*b, 4)
                )))
            }
        }
        (frame.dot(start[0], start[1], 4.5, "dot b", "the start"))
        @if let Some(minimum) = minimum {
            circle class="ring" cx=(Px(frame.x.at(minimum.point[0]))) cy=(Px(frame.y.at(minimum.point[1]))) r="6.5" { title { "the minimum" } }
        }
        @for (x, y, name) in &names.names { (label(*x, *y + 4.0, "tick middle halo", name)) }
    };
    let difference = way.iter().zip(page.steps).map(|(point, step)| (loss.at(*point) - step.value).abs());
    let difference = difference.fold(0.0, f64::max);
    let is_penalised = page.model.training.l2 > 0.0;
    let picture = html! {
        (legend(&[("b", "the start"), ("a", "the way of the solver")]))
        (frame.picture("Lines of equal loss, and the way of the solver", &marks))
    };
    let caption = html! {
        "The mean loss" @if is_penalised { " and the penalty" } " over both parameters, in nats. On each line it is the same, and from line to line "
        @if minimum.is_some() { "its height above the minimum, the ring, doubles" } @else { "its height above the lowest point of the picture doubles" }
        "; the thicker line goes through the start. "
        @if minimum.is_none() { "There is no minimum near. " }
        "The loss comes from all rows, in narrow bins: at the " (counted(way.len() as u64, "point")) " of the way it differs from the solver’s by "
        (significant(difference, 1)) " at most."
    };
    Some(figure("The loss as a landscape", &picture, &caption))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lie_on_their_level() {
        let room = Room { low: [-2.0, -1.0], high: [3.0, 2.0] };
        let height = |[x, y]: Point| (x - 0.3).hypot(2.0 * (y - 0.1));
        let grid: Vec<Vec<f64>> =
            (0..=CELLS).map(|row| (0..=CELLS).map(|column| height(room.at(column, row))).collect()).collect();
        for level in [0.2, 0.5, 1.0] {
            let lines = lines(&grid, &room, level);
            assert!(lines.len() > 8, "{level}: {} lines", lines.len());
            assert!(lines.iter().flatten().all(|point| (height(*point) - level).abs() < 0.02), "{level}");
            // A closed line: every end is another one's too.
            let same = |a: &Point, b: &Point| (a[0] - b[0]).hypot(a[1] - b[1]) < 1e-9;
            for end in lines.iter().flatten() {
                assert_eq!(lines.iter().flatten().filter(|other| same(end, other)).count(), 2);
            }
        }
        assert!(super::lines(&grid, &room, 100.0).is_empty());
    }
}
