//! Whether the likelihood has a maximum: it has none where some direction moves no row to its wrong side and some row to
//! its right one (complete or quasi-complete separation). The question is decided in double precision, by signs.
//!
//! A *pair* is a row and a class other than its own; along a direction v the row's margin moves away from that class by
//! `a.v = u_own - u_other`. Separated: `a.v >= 0` for all pairs, and `> 0` for one.
//!
//! The question is asked of a few rows, whose cone of directions is looked into (`solve/cone.rs`). If these rows
//! overlap, so do all. A direction is held against all rows, and those that it moves to their wrong side are asked too.
//!
//! # References
//! Albert and Anderson (1984), "On the existence of maximum likelihood estimates in logistic regression models",
//! Biometrika 71(1), 1-10. Konis (2007), *Linear programming algorithms for detecting separated data in binary logistic
//! regression models*, thesis, University of Oxford.

use crate::error::Result;
use crate::solve::cone::{Cone, look};
use crate::solve::rows::{Highest, Outstanding, RowBlock, Rows, Sample, evenly, mixing};

/// A margin that moves by less than this share of its terms does not move: the rounding of double precision, and ties that
/// were rounded apart.
const TIE: f64 = 1e-9;

/// Entries of a direction below this share of the largest are rounding.
const ROUNDING: f64 = 1e-9;

/// Numbers of all pairs up to which the whole table is asked at once.
const SMALL: usize = 1_000_000;

/// Parameters up to which an approximate Hessian is asked for standard errors.
pub const MOST_PARAMETERS: usize = 1024;

/// Multiplications that one look into the cone may take: some ten seconds at worst.
const MOST_PRODUCTS: usize = 4_000_000_000;

/// Multiplications that the looks without one column after the other may take.
const MOST_THINNING: usize = 20_000_000_000;

/// Rows that are asked at first, of a table with so many.
fn sample_rows(rows: usize, parameters: usize, margins: usize) -> usize {
    // Each row is a pair for every other class.
    if rows * margins * parameters <= SMALL { rows } else { rows.min(3 * parameters / margins + 32) }
}

/// Multiplications of a look into the cone of so many rows.
fn products_of_look(rows: usize, parameters: usize, margins: usize) -> usize {
    let pairs = rows * margins;
    pairs.saturating_mul(parameters).saturating_mul(pairs.min(parameters))
}

/// Whether the question can be asked of a table with so many rows, and so many parameters of all margins.
pub fn is_within_reach(rows: usize, parameters: usize, margins: usize) -> bool {
    products_of_look(sample_rows(rows, parameters, margins), parameters, margins) <= MOST_PRODUCTS
}

/// Rounds of a question.
const ROUNDS: usize = 60;

/// A direction that separates, and what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Direction {
    /// For each margin, one after the other, what each column and the intercept have in it, `[margins][columns + 1]`.
    pub parameters: Vec<f64>,
    /// Columns that have a part in it, ascending. Without one of them the others do not separate.
    pub columns: Vec<usize>,
    /// Rows that it moves away from some class for good, by their own class.
    pub rows: Vec<u64>,
    /// The same rows, by the class from which they move away.
    pub away_from: Vec<u64>,
    /// Rows that it leaves where they are.
    pub on_edge: u64,
}

/// What the question came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Separation {
    /// A maximum exists.
    None,
    /// The directions that separate, each with the rows that those before leave open.
    By(Vec<Direction>),
    /// Double precision does not decide.
    Unclear,
}

/// What is known of the rows before the question is asked.
pub struct Start<'s> {
    /// For each margin the parameters of a point on the way, `[margins][columns + 1]`: rows that fit badly there overlap.
    pub point: &'s [f64],
    /// Directions that are known to separate.
    pub known: Vec<Vec<f64>>,
}

/// The question about a table.
pub struct Question<'r, R> {
    rows: &'r mut R,
    /// Reach of every parameter, `[margins][columns + 1]`.
    reach: Vec<f64>,
    /// Parameters of a margin.
    size: usize,
    sample: Sample,
    /// Whether that is all rows.
    is_whole: bool,
    /// Directions whose pairs are settled.
    settled: Vec<Vec<f64>>,
    mixing: Box<dyn FnMut() -> f64 + Send>,
}

/// A direction held against all rows.
#[derive(Clone, Debug)]
struct Held {
    /// Rows with an open pair that it moves the wrong way, or at all if that is asked.
    against: Highest,
    rows: Vec<u64>,
    away_from: Vec<u64>,
    on_edge: u64,
}

/// Margins of rows along a direction, and the sizes of their terms, `[margins][rows]`.
struct Along {
    margins: Vec<Vec<f64>>,
    sizes: Vec<Vec<f64>>,
    /// A size below which nothing moves.
    floor: f64,
}

impl Along {
    fn new(block: &RowBlock<'_>, v: &[f64], size: usize, reach: &[f64]) -> Self {
        let columns = block.columns.len();
        let floor = 2.0 * TIE * v.iter().zip(reach).map(|(v, reach)| (v * reach).abs()).fold(0.0, f64::max);
        let mut along = Self { margins: Vec::new(), sizes: Vec::new(), floor };
        for v in v.chunks(size) {
            let intercept = v.get(columns).copied().unwrap_or(0.0);
            let (mut margin, mut sizes) = (vec![intercept; block.len()], vec![intercept.abs(); block.len()]);
            for (column, &v) in block.columns.iter().zip(v) {
                if v != 0.0 {
                    for ((u, size), x) in margin.iter_mut().zip(&mut sizes).zip(column) {
                        *u += v * x;
                        *size += (v * x).abs();
                    }
                }
            }
            along.margins.push(margin);
            along.sizes.push(sizes);
        }
        along
    }

    /// How far a row moves away from a class, and what may be rounding of it.
    fn of(&self, row: usize, own: usize, other: usize) -> (f64, f64) {
        let [(u, size), (u_other, size_other)] = [own, other].map(|class| match class {
            0 => (0.0, 0.0),
            class => (self.margins[class - 1][row], self.sizes[class - 1][row]),
        });
        (u - u_other, TIE * (size + size_other) + self.floor)
    }
}

impl<'r, R: Rows> Question<'r, R> {
    /// The question about `rows`, begun with those that are likely to answer it: one pass, where the table is not small.
    pub fn new(rows: &'r mut R, start: Start<'_>) -> Result<Self> {
        let (columns, margins) = (rows.reach().len(), rows.classes() - 1);
        let size = columns + usize::from(rows.has_intercept());
        let mut reach = rows.reach().to_vec();
        reach.resize(size, 1.0);
        let reach = reach.repeat(margins);
        let count = sample_rows(rows.len(), reach.len(), margins);
        let is_whole = count == rows.len();
        let positions = if is_whole { (0..count).collect() } else { likely_rows(rows, start.point, size, count)? };
        let sample = Sample::fetch(rows, positions)?;
        Ok(Self { rows, reach, size, sample, is_whole, settled: start.known, mixing: Box::new(mixing()) })
    }

    /// The directions that separate, at most so many; each is irreducible, and settles rows that those before leave open.
    pub fn directions(&mut self, most: usize) -> Result<Separation> {
        let mut found = Vec::new();
        while found.len() < most {
            let all = vec![true; self.size];
            match self.find(&all)? {
                Found::Unclear if found.is_empty() => return Ok(Separation::Unclear),
                Found::None | Found::Unclear => break,
                Found::Direction(v) => {
                    let v = self.thinned(v)?;
                    let held = self.hold(&v, false)?;
                    if held.rows.iter().all(|&rows| rows == 0) {
                        // It moves the sample, and all rows by no more than rounding.
                        if found.is_empty() {
                            return Ok(Separation::Unclear);
                        }
                        break;
                    }
                    self.settled.push(v.clone());
                    found.push(Direction {
                        columns: self.columns_of(&v),
                        parameters: v,
                        rows: held.rows,
                        away_from: held.away_from,
                        on_edge: held.on_edge,
                    });
                }
            }
        }
        Ok(if found.is_empty() { Separation::None } else { Separation::By(found) })
    }

    fn columns_of(&self, v: &[f64]) -> Vec<usize> {
        (0..self.rows.reach().len()).filter(|&j| v.iter().skip(j).step_by(self.size).any(|v| *v != 0.0)).collect()
    }

    /// A direction over the `allowed` parameters of each margin that moves some open pair and none the wrong way.
    fn find(&mut self, allowed: &[bool]) -> Result<Found> {
        for _ in 0..ROUNDS {
            let (v, is_null) = match self.look(allowed) {
                Cone::Unclear => return Ok(Found::Unclear),
                Cone::Overlap(None) => return Ok(Found::None),
                Cone::Overlap(Some(_)) if self.is_whole => return Ok(Found::None),
                Cone::Overlap(Some(null)) => (null, true),
                Cone::Direction(v) => (v, false),
            };
            let held = self.hold(&v, is_null)?;
            if held.against.is_empty() {
                // Nothing open moves along what the sample does not see: it cannot separate.
                return Ok(if is_null { Found::None } else { Found::Direction(v) });
            }
            let before = self.sample.positions.len();
            let positions = held.against.positions().into_iter().chain(self.sample.positions.iter().copied()).collect();
            self.sample = Sample::fetch(self.rows, positions)?;
            if self.sample.positions.len() == before {
                return Ok(Found::Unclear);
            }
        }
        Ok(Found::Unclear)
    }

    /// Looks into the cone of the sample.
    fn look(&mut self, allowed: &[bool]) -> Cone {
        let block = self.sample.block();
        let open = self.open(&block);
        let classes = self.rows.classes();
        let pairs: Vec<(usize, usize)> = (0..block.len())
            .flat_map(|row| (0..classes).map(move |other| (row, other)))
            .filter(|(row, other)| open[row * classes + other])
            .collect();
        let places: Vec<usize> = (0..self.reach.len()).filter(|place| allowed[place % self.size]).collect();
        let column = |&place: &usize| -> Vec<f64> {
            let (class, j) = (place / self.size + 1, place % self.size);
            let is = |flag: bool| f64::from(u8::from(flag));
            let sign = |row: usize, other: usize| is(block.class(row) == class) - is(other == class);
            let x = |row: usize| block.columns.get(j).map_or(1.0, |column| column[row]);
            pairs
                .iter()
                .map(|&(row, other)| if sign(row, other) == 0.0 { 0.0 } else { sign(row, other) * x(row) })
                .collect()
        };
        let columns: Vec<Vec<f64>> = places.iter().map(column).collect();
        let whole = |v: Vec<f64>| {
            let mut whole = vec![0.0; self.reach.len()];
            places.iter().zip(v).for_each(|(&place, v)| whole[place] = v);
            let size = |v: &[f64]| v.iter().zip(&self.reach).map(|(v, reach)| (v * reach).abs()).collect::<Vec<_>>();
            let sizes = size(&whole);
            let most = sizes.iter().fold(0.0, |most: f64, size| most.max(*size));
            whole.iter_mut().zip(sizes).filter(|(_, size)| *size <= ROUNDING * most).for_each(|(v, _)| *v = 0.0);
            whole
        };
        match look(&columns, &mut self.mixing) {
            Cone::Direction(v) => Cone::Direction(whole(v)),
            Cone::Overlap(null) => Cone::Overlap(null.map(whole)),
            Cone::Unclear => Cone::Unclear,
        }
    }

    /// The pairs of a block that no settled direction moves, `[rows][classes]`.
    fn open(&self, block: &RowBlock<'_>) -> Vec<bool> {
        open(block, &self.settled, self.size, &self.reach, self.rows.classes())
    }

    /// Holds a direction against all rows; of `null` vectors whatever moves an open pair is against it.
    fn hold(&mut self, v: &[f64], null: bool) -> Result<Held> {
        let Self { rows, settled, size, reach, .. } = self;
        let (size, classes, most) = (*size, rows.classes(), 2 * reach.len() + 32);
        let start =
            || Held { against: Highest::new(most), rows: vec![0; classes], away_from: vec![0; classes], on_edge: 0 };
        let parts = rows.fold(start, |held, block| {
            let open = open(block, settled, size, reach, classes);
            let along = Along::new(block, v, size, reach);
            for row in 0..block.len() {
                let own = block.class(row);
                let (mut is_moved, mut is_left) = (false, false);
                for other in 0..classes {
                    if !open[row * classes + other] {
                        continue;
                    }
                    let (moved, rounding) = along.of(row, own, other);
                    if moved > rounding {
                        is_moved = true;
                        held.away_from[other] += 1;
                    } else {
                        is_left = true;
                    }
                    if moved < -rounding || null && moved > rounding || moved.is_nan() {
                        let score = if moved.is_nan() { f64::MAX } else { moved.abs() / rounding };
                        held.against.push(Outstanding { position: block.first_row + row, score, value: moved });
                    }
                }
                held.rows[own] += u64::from(is_moved);
                held.on_edge += u64::from(is_left && !is_moved);
            }
        })?;
        let mut held = start();
        for part in parts {
            held.against.append(part.against);
            held.on_edge += part.on_edge;
            held.rows.iter_mut().zip(part.rows).for_each(|(sum, rows)| *sum += rows);
            held.away_from.iter_mut().zip(part.away_from).for_each(|(sum, rows)| *sum += rows);
        }
        Ok(held)
    }

    /// A direction without the columns that it does not need: the weakest go first.
    fn thinned(&mut self, v: Vec<f64>) -> Result<Vec<f64>> {
        let (columns, size) = (self.rows.reach().len(), self.size);
        let strength = |v: &[f64], j: usize| {
            let of_margins = v.iter().zip(&self.reach).skip(j).step_by(size).map(|(v, reach)| (v * reach).abs());
            of_margins.fold(0.0, f64::max)
        };
        let mut order: Vec<(usize, f64)> = (0..columns).map(|j| (j, strength(&v, j))).collect();
        let most = order.iter().fold(0.0, |most: f64, (_, strength)| most.max(*strength));
        order.sort_by(|a, b| a.1.total_cmp(&b.1));
        let look = products_of_look(self.sample.positions.len(), self.reach.len(), self.rows.classes() - 1);
        if look.saturating_mul(columns) > MOST_THINNING {
            return Ok(v);
        }
        let mut allowed = vec![true; size];
        let mut v = v;
        for &(j, strength) in &order {
            allowed[j] = strength > 1e-7 * most;
        }
        // What was left out as rounding may have had a part after all.
        match self.find(&allowed)? {
            Found::Direction(without_rounding) => v = without_rounding,
            Found::None | Found::Unclear => allowed = vec![true; size],
        }
        for (j, _) in order {
            if !allowed[j] || allowed[..columns].iter().filter(|allowed| **allowed).count() == 1 {
                continue;
            }
            allowed[j] = false;
            // The sample answers nearly always; only what separates it is held against all rows.
            let found = match self.look(&allowed) {
                Cone::Direction(_) => self.find(&allowed)?,
                Cone::Overlap(_) | Cone::Unclear => Found::None,
            };
            match found {
                Found::Direction(thinner) => v = thinner,
                Found::None | Found::Unclear => allowed[j] = true,
            }
        }
        Ok(v)
    }
}

/// What a search for a direction came to.
enum Found {
    None,
    Direction(Vec<f64>),
    Unclear,
}

fn open(block: &RowBlock<'_>, settled: &[Vec<f64>], size: usize, reach: &[f64], classes: usize) -> Vec<bool> {
    let mut open = vec![false; block.len() * classes];
    for (row, open) in open.chunks_mut(classes).enumerate() {
        if block.counts(row) {
            open.iter_mut().enumerate().for_each(|(class, open)| *open = class != block.class(row));
        }
    }
    for v in settled {
        let along = Along::new(block, v, size, reach);
        for (row, open) in open.chunks_mut(classes).enumerate() {
            for (other, open) in open.iter_mut().enumerate().filter(|(_, open)| **open) {
                let (moved, rounding) = along.of(row, block.class(row), other);
                *open = moved.is_nan() || moved <= rounding;
            }
        }
    }
    open
}

/// Positions of rows that are likely to answer: half of them fit badly at `point`, a quarter fit best, the others are
/// evenly spaced.
fn likely_rows(rows: &mut impl Rows, point: &[f64], size: usize, count: usize) -> Result<Vec<usize>> {
    let start = || [Highest::new(count / 2), Highest::new(count / 4)];
    let parts = rows.fold(start, |[badly, best], block| {
        // Of the point only the margins matter.
        let along = Along::new(block, point, size, &vec![0.0; point.len()]);
        for row in (0..block.len()).filter(|&row| block.counts(row)) {
            let offset = |margin: usize| block.offsets.map_or(0.0, |offsets| offsets[margin][row]);
            let margin = |class: usize| match class.checked_sub(1) {
                None => 0.0,
                Some(margin) => along.margins[margin][row] + offset(margin),
            };
            let own = block.class(row);
            let nearest = (0..=along.margins.len()).filter(|&class| class != own).map(margin).fold(f64::MIN, f64::max);
            let margin = margin(own) - nearest;
            if margin.is_finite() {
                let position = block.first_row + row;
                badly.push(Outstanding { position, score: -margin, value: margin });
                best.push(Outstanding { position, score: margin, value: margin });
            }
        }
    })?;
    let mut all = start();
    for part in parts {
        all.iter_mut().zip(part).for_each(|(all, part)| all.append(part));
    }
    let spaced = evenly(rows.len(), count / 4);
    Ok(all.into_iter().flat_map(Highest::positions).chain(spaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::rows::tests::Table;

    fn ask(table: &mut Table) -> Separation {
        let point = vec![0.0; (table.classes - 1) * (table.reach().len() + usize::from(table.intercept))];
        let mut question = Question::new(table, Start { point: &point, known: Vec::new() }).expect("nothing fails");
        question.directions(10).expect("nothing fails")
    }

    fn columns_of(separation: &Separation) -> Vec<Vec<usize>> {
        match separation {
            Separation::By(directions) => directions.iter().map(|direction| direction.columns.clone()).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn values(rows: usize, seed: f64) -> Vec<f64> {
        (0..rows).map(|row| ((row as f64 + 0.5) * seed).sin() * 1.5).collect()
    }

    #[test]
    fn a_rare_column_of_one_class_is_named_and_nothing_else() {
        for rows in [400, 200_000] {
            let x = values(rows, 12.9898);
            let classes: Vec<usize> =
                (0..rows).map(|row| usize::from(x[row] + 2.0 * values(1, row as f64)[0] > 0.0)).collect();
            let mut rare = vec![0.0; rows];
            let ones: Vec<usize> = (0..rows).filter(|&row| classes[row] == 1).step_by(rows / 8).collect();
            for &row in &ones {
                rare[row] = 1.0;
            }
            let mut table = Table::new(vec![x.clone(), values(rows, 78.233), rare.clone()], &classes);
            let found = ask(&mut table);
            assert_eq!(columns_of(&found), [[2]]);
            let Separation::By(directions) = found else { unreachable!() };
            assert_eq!(directions[0].rows, [0, ones.len() as u64]);
            assert_eq!(directions[0].on_edge, (rows - ones.len()) as u64);
            // The same level with one row of the other class is no separation.
            let other = classes.iter().position(|&class| class == 0).expect("there is one");
            let mut columns = table.sample.columns.clone();
            columns[2][other] = 1.0;
            assert_eq!(ask(&mut Table::new(columns, &classes)), Separation::None);
            // Nor if the rows of the level have weight 0.
            let mut weighted = Table::new(vec![x, rare], &classes);
            weighted.weights = Some((0..rows).map(|row| f64::from(u8::from(!ones.contains(&row)))).collect());
            assert_eq!(ask(&mut weighted), Separation::None);
        }
    }

    #[test]
    fn a_plane_is_named_by_its_columns_and_a_moved_row_ends_it() {
        let rows = 60_000;
        let columns: Vec<Vec<f64>> = [12.9898, 78.233, 37.719, 4.1414].map(|seed| values(rows, seed)).into();
        let side = |row: usize| columns[0][row] - 0.7 * columns[2][row] + 0.2;
        let mut classes: Vec<usize> = (0..rows).map(|row| usize::from(side(row) > 0.0)).collect();
        let found = ask(&mut Table::new(columns.clone(), &classes));
        assert_eq!(columns_of(&found)[0], [0, 2]);
        let farthest = (0..rows).max_by(|&a, &b| side(a).total_cmp(&side(b))).expect("there are rows");
        classes[farthest] = 0;
        assert_eq!(ask(&mut Table::new(columns, &classes)), Separation::None);
    }

    #[test]
    fn of_three_classes_a_level_may_lack_one() {
        let rows = 3_000;
        let x = values(rows, 12.9898);
        let classes: Vec<usize> = (0..rows).map(|row| (row * 7 + row / 11) % 3).collect();
        let level: Vec<f64> = (0..rows).map(|row| f64::from(u8::from(row % 10 == 0 && classes[row] != 2))).collect();
        let found = ask(&mut Table::new(vec![x, level.clone()], &classes));
        assert_eq!(columns_of(&found), [[1]]);
        let Separation::By(directions) = found else { unreachable!() };
        assert_eq!(directions[0].away_from[..2], [0, 0]);
        assert_eq!(directions[0].away_from[2], level.iter().sum::<f64>() as u64);
    }

    #[test]
    fn collinear_columns_do_not_separate_by_themselves() {
        let rows = 50_000;
        let x = values(rows, 12.9898);
        let classes: Vec<usize> = (0..rows).map(|row| usize::from((row * 31 + row / 7) % 5 < 2)).collect();
        let twin = x.iter().map(|x| 3.0 * x + 1.0).collect();
        // A column that only a few rows have, of both classes: evenly spaced rows may miss it.
        let rare = (0..rows).map(|row| f64::from(u8::from((20_000..20_010).contains(&row)))).collect();
        assert_eq!(ask(&mut Table::new(vec![x, twin, rare], &classes)), Separation::None);
    }
}
