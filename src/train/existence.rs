//! Whether a maximum exists and which columns are redundant, as the file answers: for either device and any number of
//! margins by the same code.

use crate::data::{Class, Encoded, Label, Outcomes, Plan, Table, fold_rows, level_name, outcomes};
use crate::error::Result;
use crate::model::{Cause, SeparationInfo};
use crate::monitor::Monitor;
use crate::solve::separation::{Direction, Question, Separation, Start, is_within_reach};
use crate::solve::{Answer, Doubt, Existence, RowBlock, Rows, aliased};
use crate::standardize::Coordinates;

/// Numbers of a table that are kept in memory once they were read, so that the next pass over the file costs nothing: 64 MB.
const KEPT: usize = 8_000_000;

/// Directions that are looked for beyond single columns and levels: of a table in memory, and of one that is read again for
/// every pass.
const MOST_DIRECTIONS: [usize; 2] = [10, 2];

/// How a column of the file is brought to a scale of order 1.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Index of the feature.
    feature: usize,
    shift: f64,
    scale: f64,
    /// Its standard deviation on that scale, or without an intercept its root mean square.
    spread: f64,
}

/// The rows of the file, in double precision.
pub(super) struct FileRows<'a> {
    table: &'a Table,
    plan: Plan,
    label: &'a Label,
    monitor: &'a dyn Monitor,
    places: Vec<Place>,
    reach: Vec<f64>,
    has_intercept: bool,
    kept: Option<Vec<Kept>>,
    /// Passes over the file so far.
    passes: u64,
}

/// A block of rows in memory.
struct Kept {
    first_row: usize,
    columns: Vec<Vec<f64>>,
    classes: Vec<f64>,
    weights: Option<Vec<f64>>,
    offsets: Option<Vec<Vec<f64>>>,
}

impl Kept {
    fn block(&self) -> RowBlock<'_> {
        RowBlock {
            first_row: self.first_row,
            columns: &self.columns,
            classes: &self.classes,
            weights: self.weights.as_deref(),
            offsets: self.offsets.as_deref(),
        }
    }
}

impl<'a> FileRows<'a> {
    fn new(
        table: &'a Table,
        plan: &Plan,
        encoded: &'a Encoded,
        coordinates: &Coordinates,
        monitor: &'a dyn Monitor,
    ) -> Self {
        let has_intercept = coordinates.has_intercept();
        let (mut places, mut reach) = (Vec::new(), Vec::new());
        for &feature in coordinates.active() {
            // Of a loose category the coordinates are uncentred; where the column lies is told by the data.
            let column = coordinates.columns()[feature];
            let lies = encoded.features[feature].scale;
            let square = lies.scale * lies.scale + if has_intercept { 0.0 } else { lies.mean * lies.mean };
            let (shift, scale) = match encoded.features[feature].level {
                Some(_) => (0.0, 1.0),
                None => (if has_intercept { column.mean } else { 0.0 }, column.scale),
            };
            places.push(Place { feature, shift, scale, spread: square.sqrt() / scale });
            let largest = match encoded.features[feature].level {
                Some(_) => 1.0,
                None => (lies.reach + if has_intercept { 0.0 } else { lies.mean.abs() }) / scale,
            };
            reach.push(largest);
        }
        let plan = plan.after(encoded);
        let label = &encoded.label;
        Self { table, plan, label, monitor, places, reach, has_intercept, kept: None, passes: 0 }
    }

    /// Reads the file: each block with its columns on their scales.
    fn read<T: Send>(
        &mut self,
        start: impl Fn() -> T + Sync,
        work: impl Fn(&mut T, &RowBlock<'_>) + Sync,
    ) -> Result<Vec<T>> {
        self.passes += 1;
        self.monitor.begin("double precision", Some(self.table.rows as u64));
        let places = &self.places;
        let states = fold_rows(self.table, &self.plan, self.label, self.monitor, start, |state, block| {
            let mut columns: Vec<Vec<f64>> =
                places.iter().map(|place| std::mem::take(&mut block.features[place.feature])).collect();
            for (column, place) in columns.iter_mut().zip(places) {
                for x in &mut *column {
                    *x = (*x - place.shift) / place.scale;
                }
            }
            let (weights, offsets) = (block.weights, block.offsets);
            work(
                state,
                &RowBlock { first_row: block.first_row, columns: &columns, classes: block.labels, weights, offsets },
            );
            // The memory serves the next block.
            for (column, place) in columns.into_iter().zip(places) {
                block.features[place.feature] = column;
            }
        })?;
        self.monitor.end();
        Ok(states)
    }

    fn is_kept(&self) -> bool {
        self.table.rows.saturating_mul(self.places.len() + 2) <= KEPT
    }
}

impl Rows for FileRows<'_> {
    fn len(&self) -> usize {
        self.table.rows
    }

    fn classes(&self) -> usize {
        self.label.classes.len()
    }

    fn has_intercept(&self) -> bool {
        self.has_intercept
    }

    fn reach(&self) -> &[f64] {
        &self.reach
    }

    fn fold<T: Send>(
        &mut self,
        start: impl Fn() -> T + Sync,
        work: impl Fn(&mut T, &RowBlock<'_>) + Sync,
    ) -> Result<Vec<T>> {
        if !self.is_kept() {
            return self.read(start, work);
        }
        if self.kept.is_none() {
            let blocks = self.read(Vec::new, |blocks: &mut Vec<Kept>, block| {
                blocks.push(Kept {
                    first_row: block.first_row,
                    columns: block.columns.to_vec(),
                    classes: block.classes.to_vec(),
                    weights: block.weights.map(<[f64]>::to_vec),
                    offsets: block.offsets.map(<[Vec<f64>]>::to_vec),
                });
            })?;
            self.kept = Some(blocks.into_iter().flatten().collect());
        }
        let state = |kept: &Kept| {
            let mut state = start();
            work(&mut state, &kept.block());
            state
        };
        Ok(self.kept.iter().flatten().map(state).collect())
    }
}

/// What the file says of the existence of a maximum, and of redundant columns.
pub(super) struct Evidence<'a> {
    rows: FileRows<'a>,
    encoded: &'a Encoded,
    /// Those of the solver's points.
    coordinates: Coordinates,
    causes: Vec<Cause>,
}

impl<'a> Evidence<'a> {
    /// The evidence of `table`, of whose columns the active ones of `coordinates` are asked about.
    pub(super) fn new(
        table: &'a Table,
        plan: &Plan,
        encoded: &'a Encoded,
        coordinates: &Coordinates,
        monitor: &'a dyn Monitor,
    ) -> Self {
        let rows = FileRows::new(table, plan, encoded, coordinates, monitor);
        Self { rows, encoded, coordinates: coordinates.clone(), causes: Vec::new() }
    }

    /// The active columns that those before them explain, by their places among the active ones.
    pub(super) fn aliased(&mut self) -> Result<Vec<usize>> {
        let spread: Vec<f64> = self.rows.places.iter().map(|place| place.spread).collect();
        aliased(&mut self.rows, &spread)
    }

    /// The evidence of the active columns of `coordinates` alone.
    pub(super) fn only(&self, coordinates: &Coordinates) -> Self {
        Self::new(self.rows.table, &self.rows.plan, self.encoded, coordinates, self.rows.monitor)
    }

    /// Counts the passes of other evidence as its own.
    pub(super) fn count(&mut self, other: &Self) {
        self.rows.passes += other.rows.passes;
    }

    /// The solver's points have these coordinates from now on.
    pub(super) fn follow(&mut self, coordinates: &Coordinates) {
        self.coordinates = coordinates.clone();
    }

    /// Passes over the file so far.
    pub(super) fn passes(&self) -> u64 {
        self.rows.passes
    }

    /// What separates, if that was found.
    pub(super) fn separation(&mut self) -> Option<SeparationInfo> {
        let causes = std::mem::take(&mut self.causes);
        (!causes.is_empty()).then_some(SeparationInfo { causes })
    }

    /// Parameters of a margin.
    fn size(&self) -> usize {
        self.rows.places.len() + usize::from(self.rows.has_intercept)
    }

    /// A solver's point as parameters of the columns on their scales here.
    fn point(&self, point: &[f64]) -> Vec<f64> {
        let of_margin = |margin: &[f64]| {
            let (weights, intercept) = self.coordinates.to_original(margin);
            let places = &self.rows.places;
            let mut parameters: Vec<f64> = places.iter().map(|place| weights[place.feature] * place.scale).collect();
            if self.rows.has_intercept {
                let shifts: f64 = places.iter().map(|place| weights[place.feature] * place.shift).sum();
                parameters.push(intercept + shifts);
            }
            parameters
        };
        point.chunks(self.coordinates.dimension()).flat_map(of_margin).collect()
    }

    fn class(&self, class: usize) -> Class {
        self.encoded.label.classes[class].clone()
    }

    /// The only class of some rows.
    fn only_class(&self, rows: &[u64]) -> Option<Class> {
        let mut classes = (0..rows.len()).filter(|&class| rows[class] > 0);
        classes.next().filter(|_| classes.next().is_none()).map(|class| self.class(class))
    }

    /// A direction `[margins][columns + 1]` that moves the margins away from `class` by `column . x + constant`.
    fn away_from(&self, class: usize, parts: &[(usize, f64)], constant: f64) -> Vec<f64> {
        let (size, margins) = (self.size(), self.rows.classes() - 1);
        let mut direction = vec![0.0; size * margins];
        for (margin, direction) in direction.chunks_mut(size).enumerate() {
            // The first class has no margin of its own: away from it are all others.
            let sign = match class {
                0 => 1.0,
                class if class == margin + 1 => -1.0,
                _ => continue,
            };
            for (place, x) in parts {
                direction[*place] = sign * x;
            }
            if constant != 0.0 {
                direction[size - 1] = sign * constant;
            }
        }
        direction
    }

    /// Single columns and levels that separate by themselves, with the directions in which they do.
    fn single(&self, outcomes: &Outcomes) -> Vec<(Cause, Vec<f64>)> {
        let mut found = Vec::new();
        for (place, at) in self.rows.places.iter().enumerate() {
            if self.encoded.features[at.feature].level.is_none() && self.rows.has_intercept {
                found.extend(self.by_threshold(outcomes, place, at));
            }
        }
        for (category, levels) in outcomes.levels.iter().enumerate() {
            let of_category = |place: &usize| {
                self.encoded.features[self.rows.places[*place].feature].level.filter(|level| level.0 == category)
            };
            let places: Vec<(usize, usize)> = (0..self.rows.places.len())
                .filter_map(|place| of_category(&place).map(|(_, code)| (place, code)))
                .collect();
            for (code, rows) in levels.iter().enumerate() {
                let own = places.iter().find(|(_, other)| *other == code);
                // The reference is what no other level is, and the intercept.
                let (parts, constant) = match own {
                    Some((place, _)) => (vec![(*place, 1.0)], 0.0),
                    None if code == 0 && self.rows.has_intercept => {
                        (places.iter().map(|(place, _)| (*place, -1.0)).collect(), 1.0)
                    }
                    None => continue,
                };
                if rows.iter().all(|&rows| rows == 0) {
                    continue;
                }
                let category = &self.encoded.categories[category];
                let name = format!("{}={}", category.name, level_name(&category.levels[code]));
                for lacks in (0..rows.len()).filter(|&class| rows[class] == 0 && outcomes.rows[class] > 0) {
                    let moved = rows.iter().sum();
                    let cause = Cause {
                        columns: vec![name.clone()],
                        class: self.only_class(rows),
                        lacks: Some(self.class(lacks)),
                        rows: moved,
                        on_edge: outcomes.rows.iter().sum::<u64>() - moved,
                    };
                    found.push((cause, self.away_from(lacks, &parts, constant)));
                }
            }
        }
        // What leaves no row on the edge is all there is to say.
        if found.iter().any(|(cause, _)| cause.on_edge == 0) && self.rows.classes() == 2 {
            found.retain(|(cause, _)| cause.on_edge == 0);
        }
        found.sort_by_key(|(cause, _)| std::cmp::Reverse(cause.rows));
        found
    }

    /// The classes that lie at an end of a column.
    fn by_threshold(&self, outcomes: &Outcomes, place: usize, at: &Place) -> Vec<(Cause, Vec<f64>)> {
        let ends = &outcomes.ends[at.feature];
        // Of two classes each lies at an end if the other does.
        let classes = if ends.len() == 2 { 1..2 } else { 0..ends.len() };
        let mut found = Vec::new();
        for class in classes {
            let own = ends[class];
            let others = || ends.iter().enumerate().filter(move |(other, _)| *other != class);
            let low = others().fold(f64::INFINITY, |low, (_, ends)| low.min(ends.low));
            let high = others().fold(f64::NEG_INFINITY, |high, (_, ends)| high.max(ends.high));
            for (is_above, from, to) in [(true, high, own.low), (false, own.high, low)] {
                // Where all values are the same, there is nothing to tell.
                let is_flat = own.low >= own.high && low >= high && own.low >= low && own.low <= low;
                if from > to || is_flat {
                    continue;
                }
                let has_edge = from >= to;
                let mut on_edge: Vec<u64> = vec![0; ends.len()];
                if has_edge {
                    for (other, ends) in ends.iter().enumerate() {
                        // The class from the side of the threshold on which it lies, the others from theirs.
                        let is_low = (other == class) == is_above;
                        let (value, rows) = if is_low { (ends.low, ends.at_low) } else { (ends.high, ends.at_high) };
                        on_edge[other] = if value >= from && value <= to { rows } else { 0 };
                    }
                }
                let moved: Vec<u64> = outcomes.rows.iter().zip(&on_edge).map(|(rows, edge)| rows - edge).collect();
                let sign = if is_above { -1.0 } else { 1.0 };
                let threshold = (0.5 * from + 0.5 * to - at.shift) / at.scale;
                let cause = Cause {
                    columns: vec![self.encoded.features[at.feature].name.clone()],
                    class: self.only_class(&moved),
                    lacks: (ends.len() > 2).then(|| self.class(class)),
                    rows: moved.iter().sum(),
                    on_edge: on_edge.iter().sum(),
                };
                // Away from the class are the values beyond which it does not lie.
                found.push((cause, self.away_from(class, &[(place, sign)], -sign * threshold)));
            }
        }
        found
    }

    /// A direction that was found, in words.
    fn cause(&self, direction: &Direction) -> Cause {
        let name = |&place: &usize| self.encoded.features[self.rows.places[place].feature].name.clone();
        Cause {
            columns: direction.columns.iter().map(name).collect(),
            class: self.only_class(&direction.rows),
            lacks: if direction.away_from.len() > 2 { self.only_class(&direction.away_from) } else { None },
            rows: direction.rows.iter().sum(),
            on_edge: direction.on_edge,
        }
    }
}

impl Existence for Evidence<'_> {
    fn ask(&mut self, point: &[f64], doubt: Doubt) -> Result<Answer> {
        self.rows.passes += 1;
        let FileRows { table, plan, label, monitor, .. } = &self.rows;
        let outcomes = outcomes(table, plan, label, *monitor)?;
        let single = self.single(&outcomes);
        let is_settled = single.iter().any(|(cause, _)| cause.on_edge == 0);
        let (causes, known): (Vec<Cause>, Vec<Vec<f64>>) = single.into_iter().unzip();
        let is_separated = !causes.is_empty();
        self.causes = causes;
        let margins = self.rows.classes() - 1;
        let is_beyond = !is_within_reach(self.rows.len(), self.size() * margins, margins);
        if is_separated && (is_settled || is_beyond) {
            return Ok(Answer::Separated);
        }
        if is_beyond || doubt == Doubt::Approximate && !is_separated {
            return Ok(Answer::NotSeen);
        }
        // The ends of a single column say all there is to say of it, in the very numbers of the file.
        if !is_separated && self.rows.places.len() == 1 && self.rows.has_intercept && self.rows.classes() == 2 {
            return Ok(Answer::Exists);
        }
        let point = self.point(point);
        let most = MOST_DIRECTIONS[usize::from(!self.rows.is_kept())];
        let found = Question::new(&mut self.rows, Start { point: &point, known })?.directions(most)?;
        Ok(match found {
            Separation::By(directions) => {
                let more: Vec<Cause> = directions.iter().map(|direction| self.cause(direction)).collect();
                self.causes.extend(more);
                Answer::Separated
            }
            _ if is_separated => Answer::Separated,
            Separation::None => Answer::Exists,
            Separation::Unclear => Answer::Unclear,
        })
    }
}
