//! Several points in one pass, and the sums of each cell of the rows, against the oracle.

#[allow(dead_code, reason = "each test file uses its part of the oracle")]
mod oracle;

/// What tests share.
mod common {
    pub(crate) mod fill;
    pub(crate) mod random;
}

use common::fill::{Filling, fill};
use common::random::Random;
use gpu_logreg::data::{Design, Shape};
use gpu_logreg::engine::cpu::CpuTableBuilder;
use gpu_logreg::engine::storage::Limits;
use gpu_logreg::engine::work::{CellSums, Work, total};
use gpu_logreg::engine::{Engine, TableBuilder};
use gpu_logreg::objective::Need;
use oracle::Rows;

/// Rows of each cell: whole blocks and less, one row, none.
const CELLS: [usize; 5] = [5_003, 1, 0, 8_192, 977];

/// A table with everything, its rows cell by cell: plain columns, categories with so many levels beside the reference, weights
/// of which some are 0, offsets.
fn table(plain: usize, levels: &[usize]) -> Rows {
    table_of(&CELLS, plain, levels, &mut Random(11 + plain as u64))
}

/// The same of so many rows in each cell.
fn table_of(cells: &[usize], plain: usize, levels: &[usize], random: &mut Random) -> Rows {
    let n: usize = cells.iter().sum();
    let exact = |x: f64| f64::from(x as f32);
    let mut columns: Vec<Vec<f64>> =
        (0..plain).map(|_| (0..n).map(|_| exact(2.0 * random.unit() - 0.7)).collect()).collect();
    for &count in levels {
        let codes: Vec<usize> = (0..n).map(|_| (random.unit() * (count + 1) as f64) as usize).collect();
        let of_level = |level: usize| codes.iter().map(|&code| f64::from(u8::from(code == level))).collect();
        columns.extend((1..=count).map(of_level));
    }
    Rows {
        columns,
        labels: (0..n).map(|_| f64::from(u8::from(random.unit() < 0.4))).collect(),
        weights: (0..n).map(|k| if k % 7 == 3 { 0.0 } else { exact(0.5 + random.unit()) }).collect(),
        offsets: (0..n).map(|_| exact(random.unit() - 0.5)).collect(),
        levels: levels.to_vec(),
    }
}

/// The rows of a cell as a table.
fn part(rows: &Rows, cells: &[usize], cell: usize) -> Rows {
    let first: usize = cells[..cell].iter().sum();
    let of = |values: &[f64]| values[first..first + cells[cell]].to_vec();
    Rows {
        columns: rows.columns.iter().map(|column| of(column)).collect(),
        labels: of(&rows.labels),
        weights: of(&rows.weights),
        offsets: of(&rows.offsets),
        levels: rows.levels.clone(),
    }
}

fn design(rows: &Rows, classes: Option<usize>) -> Design {
    let plain = rows.columns.len() - rows.levels.iter().sum::<usize>();
    let shape = Shape { weights: true, offsets: true, classes, ..Shape::plain(rows.len(), plain) };
    Design::with_categories(shape, &rows.levels)
}

/// Labels of several classes are codes; offsets are the same in every margin.
fn load(rows: &Rows, design: &Design, chunk_bytes: usize) -> Box<dyn Engine> {
    let mut table =
        Box::new(CpuTableBuilder::with_chunk_bytes(design.clone(), chunk_bytes, &Limits::default()).expect("room"));
    let Rows { columns, levels, labels, weights, offsets } = rows;
    let offsets = vec![offsets.as_slice(); design.shape.margins()];
    fill(&*table.as_store(), &Filling { columns, levels, labels, weights, offsets });
    table.finish().expect("a table")
}

fn points(count: usize, parameters: usize) -> Vec<Vec<f64>> {
    let mut random = Random(5);
    (0..count).map(|_| (0..parameters).map(|_| 1.6 * random.unit() - 0.8).collect()).collect()
}

fn assert_near(what: &str, found: f64, expected: f64, size: f64) {
    assert!((found - expected).abs() <= 1e-12 * size.max(1e-3), "{what}: {found}, expected {expected}");
}

/// The sums of a point over the rows `part` are those that are summed by hand.
fn assert_sums(what: &str, part: &Rows, work: &Work<'_>, sums: &CellSums, weight: f64) {
    let (d, n) = (part.columns.len(), part.weight());
    assert_near(what, weight, n, n);
    // Means of no rows are no numbers.
    let times = |mean: f64| if n > 0.0 { n * mean } else { 0.0 };
    let (of_features, intercept) = (&work.point[..d], work.point[d]);
    let expected = part.evaluate(of_features, intercept);
    assert_near(what, sums.loss, times(expected.loss), times(expected.loss));
    assert_eq!(sums.gradient.len(), d + 1, "{what}");
    for j in 0..=d {
        let (mean, size) = (expected.gradient[j], expected.absolute[j]);
        assert_near(&format!("{what}, gradient {j}"), sums.gradient[j], times(mean), times(size));
    }
    assert_eq!(sums.hessian.is_some(), work.takes_hessian, "{what}");
    let Some(hessian) = &sums.hessian else { return };
    let (expected, size) = part.hessian(of_features, intercept);
    let all: Vec<usize> = (0..=d).collect();
    let about = work.columns.unwrap_or(&all);
    assert_eq!(hessian.size(), about.len(), "{what}");
    for (a, &i) in about.iter().enumerate() {
        for (b, &j) in about.iter().enumerate() {
            assert_near(
                &format!("{what}, Hessian {i} {j}"),
                hessian.get(a, b),
                times(expected[i][j]),
                times(size[i][j]),
            );
        }
    }
}

/// Loss, gradient and Hessian of each cell that a point takes, and of no other, summed by hand.
#[test]
fn every_cell_has_its_sums() {
    for levels in [vec![], vec![3, 1]] {
        let rows = table(5, &levels);
        let d = rows.columns.len();
        let mut engine = load(&rows, &design(&rows, None).with_cells(&CELLS), 1 << 16);
        let weights = engine.cell_weights().expect("weights");
        let points = points(19, d + 1);
        let (columns, without_intercept) = ([0, 2, d - 1, d], [1, 2]);
        let mut work: Vec<Work<'_>> = points.iter().map(|point| Work::at(point)).collect();
        work[1].cells = Some(&[0, 3]);
        work[2].cells = Some(&[1, 2, 3, 4]);
        work[2].takes_hessian = true;
        work[3] = Work { takes_hessian: true, columns: Some(&columns), cells: Some(&[0, 4]), ..work[3] };
        work[4] = Work { takes_hessian: true, columns: Some(&without_intercept), ..work[4] };
        let before = engine.passes();
        let found = engine.run(&work).expect("a pass");
        let passes = engine.passes();
        assert_eq!((passes.data - before.data, passes.hessian - before.hessian), (3, 1), "19 margins, eight a pass");
        for (place, (work, found)) in work.iter().zip(&found).enumerate() {
            let taken: Vec<usize> = (0..CELLS.len()).filter(|&cell| work.takes(cell)).collect();
            assert_eq!(found.iter().map(|sums| sums.cell).collect::<Vec<_>>(), taken, "point {place}");
            for sums in found {
                let what = format!("point {place}, cell {}, levels {levels:?}", sums.cell);
                assert_sums(&what, &part(&rows, &CELLS, sums.cell), work, sums, weights[sums.cell]);
            }
        }
        // All cells together are the table.
        let whole = total(&found[0]).expect("cells");
        let evaluation = engine.move_to(&points[0], Need::Gradient).expect("a pass");
        assert_near("loss", whole.loss / engine.weight(), evaluation.value, 1.0);
        assert_eq!(whole.gradient.len(), evaluation.gradient.len());
        for (sum, mean) in whole.gradient.iter().zip(&evaluation.gradient) {
            assert_near("gradient", sum / engine.weight(), *mean, 1.0);
        }
    }
}

fn bits(found: &[CellSums]) -> Vec<u64> {
    let of_cell = |sums: &CellSums| {
        let hessian =
            sums.hessian.iter().flat_map(|h| (0..h.size()).flat_map(move |i| (0..=i).map(move |j| h.get(i, j))));
        let numbers: Vec<u64> =
            [sums.loss].into_iter().chain(sums.gradient.clone()).chain(hessian).map(f64::to_bits).collect();
        numbers
    };
    found.iter().flat_map(of_cell).collect()
}

/// A point has the same bits alone as beside others, with another one's Hessian beside it, in any chunks; and the rows stay
/// where they stand.
#[test]
fn what_shares_a_pass_changes_no_bit() {
    let rows = table(40, &[2]);
    let d = rows.columns.len();
    let design = design(&rows, None).with_cells(&CELLS);
    let points = points(21, d + 1);
    let mut reference: Option<Vec<Vec<u64>>> = None;
    for chunk_bytes in [1 << 16, 1 << 18, 1 << 30] {
        let mut engine = load(&rows, &design, chunk_bytes);
        let stood = engine.move_to(&points[20], Need::Gradient).expect("a pass");
        let together: Vec<Work<'_>> = points.iter().map(|point| Work::at(point)).collect();
        let found: Vec<Vec<u64>> = engine.run(&together).expect("a pass").iter().map(|found| bits(found)).collect();
        let reference = reference.get_or_insert_with(|| found.clone());
        assert!(*reference == found, "chunks of {chunk_bytes} bytes");
        for (place, alone) in together.iter().enumerate() {
            let beside = Work { takes_hessian: true, ..together[(place + 1) % points.len()] };
            for work in [vec![*alone], vec![beside, *alone]] {
                let found = engine.run(&work).expect("a pass");
                assert!(bits(found.last().expect("its sums")) == reference[place], "point {place} of {}", work.len());
            }
        }
        let mut still = vec![0.0; d + 1];
        let line = engine.line(&mut still, 0.0).expect("a line");
        assert_eq!(line.first().value.to_bits(), stood.value.to_bits());
    }
}

/// What is asked for beside value and gradient changes no bit of them, in cells too: the jobs of a Hessian of so many levels have
/// several blocks, and end with their cells.
#[test]
fn a_hessian_beside_them_changes_no_bit_of_value_and_gradient() {
    let rows = table(2, &[400]);
    let mut engine = load(&rows, &design(&rows, None).with_cells(&CELLS), 1 << 20);
    let point = &points(1, 403)[0];
    let [alone, beside] = [Need::Gradient, Need::Hessian].map(|need| engine.move_to(point, need).expect("a pass"));
    assert_eq!(alone.value.to_bits(), beside.value.to_bits());
    assert_eq!(alone.gradient, beside.gradient);
    let alone = Work::at(point);
    let [alone, beside] =
        [alone, Work { takes_hessian: true, ..alone }].map(|work| engine.run(&[work]).expect("a pass").remove(0));
    let of_cells = |found: &[CellSums]| -> Vec<(usize, u64, Vec<f64>)> {
        found.iter().map(|sums| (sums.cell, sums.loss.to_bits(), sums.gradient.clone())).collect()
    };
    assert!(of_cells(&alone) == of_cells(&beside), "the sums of some cell are others");
    assert!(engine.run(&[]).expect("nothing to do").is_empty());
}

/// Several classes: the sums of each cell are those of a table of its rows alone.
#[test]
fn cells_of_a_softmax_are_tables() {
    let mut rows = table(4, &[2]);
    let d = rows.columns.len();
    let mut random = Random(3);
    rows.labels.iter_mut().for_each(|label| *label = (3.0 * random.unit()).floor());
    let points = points(12, 2 * (d + 1));
    let mut engine = load(&rows, &design(&rows, Some(3)).with_cells(&CELLS), 1 << 15);
    let mut work: Vec<Work<'_>> = points.iter().map(|point| Work::at(point)).collect();
    work[7].takes_hessian = true;
    let columns = [1, 3, d];
    let before = engine.passes().data;
    let found = engine.run(&work).expect("a pass");
    assert_eq!(engine.passes().data - before, 3, "24 margins, eight a pass");
    let of_columns = Work { columns: Some(&columns), ..work[7] };
    let some = engine.run(&[of_columns]).expect("a pass");
    for cell in [0, 1, 3, 4] {
        let part = part(&rows, &CELLS, cell);
        let mut alone = load(&part, &design(&part, Some(3)), 1 << 20);
        let n = alone.weight();
        for (place, point) in points.iter().enumerate() {
            let evaluation = alone.move_to(point, Need::Hessian).expect("a pass");
            let sums = &found[place][cell];
            let what = format!("point {place}, cell {cell}");
            assert_near(&what, sums.loss, n * evaluation.value, n);
            assert_eq!((sums.cell, sums.gradient.len()), (cell, evaluation.gradient.len()));
            assert_eq!(sums.hessian.is_some(), place == 7, "{what}");
            for (sum, mean) in sums.gradient.iter().zip(&evaluation.gradient) {
                assert_near(&what, *sum, n * mean, n);
            }
            let (Some(hessian), Some(expected)) = (&sums.hessian, &evaluation.hessian) else { continue };
            for i in 0..hessian.size() {
                for j in 0..=i {
                    assert_near(&what, hessian.get(i, j), n * expected.get(i, j), n);
                }
            }
            let some = some[0][cell].hessian.as_ref().expect("it was asked for");
            let all: Vec<usize> = [0, d + 1].iter().flat_map(|first| columns.map(|column| first + column)).collect();
            for (a, &i) in all.iter().enumerate() {
                for (b, &j) in all.iter().enumerate() {
                    assert_near(&what, some.get(a, b), n * expected.get(i, j), n);
                }
            }
        }
    }
}

/// Tables that nobody chose: few rows, cells without any or with weights of 0 alone, points that take some cells and ask for a
/// Hessian of some columns, in small chunks.
#[test]
fn random_tables_have_the_sums_of_their_cells() {
    let mut random = Random(77);
    let mut below = |count: usize| (random.unit() * count as f64) as usize;
    let mut data = Random(78);
    for table in 0..60 {
        let cells: Vec<usize> = (0..=below(5)).map(|_| [0, 1, 2, below(40), 4_096, below(5_000)][below(6)]).collect();
        let cells = if cells.iter().sum::<usize>() == 0 { vec![1] } else { cells };
        let levels: Vec<usize> = (0..below(3)).map(|_| 1 + below(5)).collect();
        let plain = below(20) + usize::from(levels.is_empty());
        let mut rows = table_of(&cells, plain, &levels, &mut data);
        if below(3) == 0 {
            rows.weights[..cells[0]].fill(0.0);
        }
        let d = rows.columns.len();
        let mut engine = load(&rows, &design(&rows, None).with_cells(&cells), 1 << (10 + below(12)));
        let weights = engine.cell_weights().expect("weights");
        assert_eq!(weights.len(), cells.len());
        let points: Vec<Vec<f64>> =
            (0..=below(20)).map(|_| (0..=d).map(|_| 6.0 * data.unit() - 3.0).collect()).collect();
        let mut some = |count: usize| -> Vec<usize> { (0..count).filter(|_| below(2) == 0).collect() };
        let lists: Vec<[Vec<usize>; 2]> = points.iter().map(|_| [some(cells.len()), some(d + 1)]).collect();
        let work: Vec<Work<'_>> = points
            .iter()
            .zip(&lists)
            .enumerate()
            .map(|(place, (point, [of_cells, columns]))| Work {
                point,
                cells: (place % 2 == 1).then_some(of_cells),
                takes_hessian: place % 3 == 2,
                columns: (place % 4 == 2).then_some(columns),
            })
            .collect();
        let found = engine.run(&work).expect("a pass");
        assert_eq!(found.len(), work.len());
        for (place, (work, found)) in work.iter().zip(&found).enumerate() {
            let taken: Vec<usize> = (0..cells.len()).filter(|&cell| work.takes(cell)).collect();
            assert_eq!(found.iter().map(|sums| sums.cell).collect::<Vec<_>>(), taken, "table {table}, point {place}");
            for sums in found {
                let what = format!("table {table}, point {place}, cell {} of {cells:?}", sums.cell);
                assert_sums(&what, &part(&rows, &cells, sums.cell), work, sums, weights[sums.cell]);
            }
        }
    }
}

#[test]
#[should_panic(expected = "cells: [0, 5]")]
fn cells_that_are_not_there_are_refused() {
    let rows = table(2, &[]);
    let point = [0.0; 3];
    let mut engine = load(&rows, &design(&rows, None).with_cells(&CELLS), 1 << 20);
    let _ = engine.run(&[Work { cells: Some(&[0, 5]), ..Work::at(&point) }]);
}
