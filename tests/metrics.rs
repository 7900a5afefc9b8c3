//! Metrics against scikit-learn's (`reference/metrics.py` wrote the answers, inputs included), against counting of
//! pairs, and against themselves: cut into other pieces, and with scores in bins.

use std::ops::Range;
use std::thread;

use gpu_logreg::error::Kind;
use gpu_logreg::logistic::sigmoid;
use gpu_logreg::metrics::{
    Accumulator, Bounded, Calibration, ClassFigures, Confusion, CurvePoint, Decision, Limit, Metrics,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("reference/metrics.json")).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// Labels, scores and weights.
#[derive(Clone, Debug, Default)]
struct Rows {
    labels: Vec<f64>,
    scores: Vec<f64>,
    weights: Option<Vec<f64>>,
}

impl Rows {
    fn of(case: &Value) -> Self {
        let weights = &case["weights"];
        Self {
            labels: numbers(&case["labels"]),
            scores: numbers(&case["scores"]),
            weights: (!weights.is_null()).then(|| numbers(weights)),
        }
    }

    fn weight(&self, row: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights[row])
    }

    fn add_to(&self, accumulator: &mut Accumulator, rows: Range<usize>) {
        let weights = self.weights.as_ref().map(|weights| &weights[rows.clone()]);
        let labels: Vec<u32> = self.labels[rows.clone()].iter().map(|&label| label as u32).collect();
        accumulator.add_batch(&labels, &self.scores[rows], weights).expect("good rows");
    }

    /// All rows at once.
    fn measure(&self, limit: Limit) -> Metrics {
        let mut accumulator = of_two(limit);
        self.add_to(&mut accumulator, 0..self.labels.len());
        accumulator.finish().expect("there are rows")
    }
}

/// Of two classes, called by one half.
fn of_two(limit: Limit) -> Accumulator {
    Accumulator::new(Decision::Threshold(0.5), limit).expect("a threshold")
}

fn of_three() -> Accumulator {
    Accumulator::new(Decision::Likeliest(3), unlimited()).expect("classes")
}

/// The figures of the only class that two have.
fn positive(metrics: &Metrics) -> &ClassFigures {
    let [positive] = &metrics.classes[..] else { panic!("{} classes", metrics.classes.len()) };
    positive
}

fn at_threshold(metrics: &Metrics) -> &Confusion {
    metrics.at_threshold.as_ref().expect("two classes")
}

fn unlimited() -> Limit {
    Limit::new(usize::MAX)
}

/// Scores in bins from the first row on.
fn binned(bins: usize) -> Limit {
    Limit::new(0).with_bins(bins)
}

fn near(found: f64, expected: f64, tolerance: f64) -> Result<(), String> {
    // Not the other way round: NaN is not near.
    if (found - expected).abs() <= tolerance * (1.0 + expected.abs()) {
        Ok(())
    } else {
        Err(format!("{found} is not {expected}"))
    }
}

fn near_all(found: &[f64], expected: &[f64], tolerance: f64) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{} numbers instead of {}", found.len(), expected.len()));
    }
    found.iter().zip(expected).try_for_each(|(&found, &expected)| near(found, expected, tolerance))
}

fn check_calibration(found: &Calibration, expected: &Value) -> Result<(), String> {
    near(found.expected_error, expected["expected_error"].as_f64().expect("a number"), 1e-9)?;
    let bins = expected["bins"].as_array().expect("a list");
    if found.bins.len() != bins.len() {
        return Err(format!("{} bins", found.bins.len()));
    }
    for (found, expected) in found.bins.iter().zip(bins) {
        match (found.predicted, found.observed) {
            (None, None) if expected.is_null() && found.rows == 0 => {}
            (Some(predicted), Some(observed)) if !expected.is_null() => {
                near_all(&[found.weight, predicted, observed], &numbers(expected), 1e-9)?;
            }
            _ => return Err(format!("{found:?} is not {expected}")),
        }
    }
    Ok(())
}

fn exact(figure: Option<Bounded>) -> f64 {
    let figure = figure.expect("both classes");
    assert!(figure.error_bound == 0.0, "{figure:?} should be exact");
    figure.value
}

/// The skill, which scikit-learn has not, from two figures that it has.
fn check_skill(found: Option<f64>, expected: &Value) -> Result<(), String> {
    let [loss, base] = ["log_loss", "base_log_loss"].map(|name| expected[name].as_f64().expect("a number"));
    near(found.unwrap_or(f64::NAN), 1.0 - loss / base, 1e-9).map_err(|error| format!("skill: {error}"))
}

/// Every figure that scikit-learn has.
fn check_binary(found: &Metrics, expected: &Value) -> Result<(), String> {
    let (confusion, class) = (at_threshold(found), positive(found));
    let figures = [
        ("weights", found.weights),
        ("prevalence", class.prevalence),
        ("log_loss", found.log_loss),
        ("base_log_loss", found.base_log_loss),
        ("brier", found.brier),
        ("accuracy", found.accuracy),
        ("auc", exact(found.auc)),
        ("average_precision", exact(found.average_precision)),
        ("true_positives", confusion.true_positives),
        ("false_positives", confusion.false_positives),
        ("true_negatives", confusion.true_negatives),
        ("false_negatives", confusion.false_negatives),
        ("precision", confusion.precision.unwrap_or(f64::NAN)),
        ("recall", confusion.recall.unwrap_or(f64::NAN)),
        ("specificity", confusion.specificity.unwrap_or(f64::NAN)),
        ("f1", confusion.f1.unwrap_or(f64::NAN)),
    ];
    for (name, found) in figures {
        let expected = expected[name].as_f64().expect("a number");
        near(found, expected, 1e-9).map_err(|error| format!("{name}: {error}"))?;
    }
    check_skill(found.skill, expected)?;
    // What is counted of the threshold stands in the table of both classes too.
    let cells =
        [confusion.true_negatives, confusion.false_positives, confusion.false_negatives, confusion.true_positives];
    near_all(&found.confusion.concat(), &cells, 0.0)?;
    let gains: Vec<f64> = class.lift.iter().map(|row| row.gain.value).collect();
    near_all(&gains, &numbers(&expected["gains"]), 1e-9).map_err(|error| format!("gains: {error}"))?;
    check_calibration(&class.calibration, &expected["calibration"]).map_err(|error| format!("calibration: {error}"))
}

fn accumulator(case: &Value, limit: Limit) -> Accumulator {
    let threshold = case["threshold"].as_f64().expect("a number");
    let made = if case["kind"] == "margin" { Accumulator::new } else { Accumulator::of_probabilities };
    made(Decision::Threshold(threshold), limit).expect("a threshold")
}

#[test]
fn two_classes_agree_with_scikit_learn() {
    let reference = reference();
    let cases = reference["binary"].as_array().expect("cases");
    assert_eq!(cases.len(), 7);
    for case in cases {
        let rows = Rows::of(case);
        // With room for all rows, and with a bin for every score.
        for limit in [unlimited(), binned(1 << 16)] {
            let mut accumulator = accumulator(case, limit);
            rows.add_to(&mut accumulator, 0..rows.labels.len());
            let found = accumulator.finish().expect("there are rows");
            assert_eq!(found.rows, rows.labels.len() as u64);
            check_binary(&found, &case["expected"]).unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
        }
        // The check would notice a single label.
        let mut wrong = rows.clone();
        wrong.labels[7] = 1.0 - wrong.labels[7];
        let mut accumulator = accumulator(case, unlimited());
        wrong.add_to(&mut accumulator, 0..wrong.labels.len());
        assert!(check_binary(&accumulator.finish().expect("there are rows"), &case["expected"]).is_err());
    }
}

fn check_classes(found: &Metrics, expected: &Value) -> Result<(), String> {
    let figures = [
        ("log_loss", found.log_loss),
        ("base_log_loss", found.base_log_loss),
        ("brier", found.brier),
        ("accuracy", found.accuracy),
        ("macro_auc", exact(found.auc)),
    ];
    for (name, found) in figures {
        let expected = expected[name].as_f64().expect("a number");
        near(found, expected, 1e-9).map_err(|error| format!("{name}: {error}"))?;
    }
    check_skill(found.skill, expected)?;
    near_all(&found.confusion.concat(), &numbers(&expected["confusion"]), 1e-9)?;
    let by_class = |part: fn(&ClassFigures) -> Option<Bounded>| -> Vec<f64> {
        found.classes.iter().map(|class| exact(part(class))).collect()
    };
    near_all(&by_class(|class| class.auc), &numbers(&expected["auc"]), 1e-9)?;
    near_all(&by_class(|class| class.average_precision), &numbers(&expected["average_precision"]), 1e-9)?;
    let calibrations = expected["calibration"].as_array().expect("a list");
    found.classes.iter().zip(calibrations).try_for_each(|(found, expected)| {
        check_calibration(&found.calibration, expected).map_err(|error| format!("calibration: {error}"))
    })
}

#[test]
fn more_classes_agree_with_scikit_learn() {
    let reference = reference();
    let cases = reference["classes"].as_array().expect("cases");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let k = case["classes"].as_u64().expect("a count") as usize;
        let labels: Vec<u32> = numbers(&case["labels"]).into_iter().map(|label| label as u32).collect();
        let scores = numbers(&case["scores"]);
        let weights = (!case["weights"].is_null()).then(|| numbers(&case["weights"]));
        let made = if case["kind"] == "margin" { Accumulator::new } else { Accumulator::of_probabilities };
        let measure = |labels: &[u32], cut: usize| {
            let mut parts = (0..labels.len()).step_by(cut).map(|first| {
                let rows = first..labels.len().min(first + cut);
                let mut part = made(Decision::Likeliest(k), unlimited()).expect("classes");
                let weights = weights.as_ref().map(|weights| &weights[rows.clone()]);
                part.add_batch(&labels[rows.clone()], &scores[rows.start * k..rows.end * k], weights)
                    .expect("good rows");
                part
            });
            let mut whole = parts.next().expect("a part");
            parts.for_each(|part| whole.merge(part).expect("of one kind"));
            whole.finish().expect("there are rows")
        };
        for cut in [labels.len(), 37] {
            check_classes(&measure(&labels, cut), &case["expected"])
                .unwrap_or_else(|error| panic!("{} in pieces of {cut}: {error}", case["name"]));
        }
        let mut wrong = labels.clone();
        wrong[7] = (wrong[7] + 1) % k as u32;
        assert!(check_classes(&measure(&wrong, labels.len()), &case["expected"]).is_err());
    }
}

/// Rows with ties (`levels` scores) or without (0), weighted or not; positives have higher scores.
fn drawn(seed: u64, count: usize, levels: u32, weighted: bool) -> Rows {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = Rows { weights: weighted.then(Vec::new), ..Rows::default() };
    for _ in 0..count {
        let spread = 6.0 * rng.random::<f64>() - 3.0;
        let score = if levels == 0 { spread } else { (spread * f64::from(levels)).round() / f64::from(levels) };
        rows.labels.push(f64::from(u8::from(rng.random::<f64>() < sigmoid(0.8 * spread - 0.5))));
        rows.scores.push(score);
        if let Some(weights) = &mut rows.weights {
            weights.push(if rng.next_u32() % 16 == 0 { 0.0 } else { 3.0 * rng.random::<f64>() });
        }
    }
    rows
}

/// Area under the ROC curve by its definition: every pair.
fn count_pairs(rows: &Rows) -> f64 {
    let (mut right, mut all) = (0.0, 0.0);
    for (i, _) in rows.labels.iter().enumerate().filter(|row| *row.1 > 0.5) {
        for (j, _) in rows.labels.iter().enumerate().filter(|row| *row.1 < 0.5) {
            let weight = rows.weight(i) * rows.weight(j);
            all += weight;
            right += weight
                * match rows.scores[i].partial_cmp(&rows.scores[j]).expect("numbers") {
                    std::cmp::Ordering::Less => 0.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Greater => 1.0,
                };
        }
    }
    right / all
}

#[test]
fn area_is_the_share_of_pairs_in_order() {
    for seed in 0..40 {
        for (levels, weighted) in [(0, false), (0, true), (1, false), (2, true)] {
            let rows = drawn(seed, 30 + 10 * seed as usize, levels, weighted);
            let found = exact(rows.measure(unlimited()).auc);
            near(found, count_pairs(&rows), 1e-13).unwrap_or_else(|error| panic!("{seed}, {levels}: {error}"));
        }
    }
    // Ties that count in full would be noticed.
    let rows = Rows { labels: vec![0.0, 1.0, 1.0], scores: vec![0.0, -0.0, 1.0], weights: None };
    assert!((exact(rows.measure(unlimited()).auc) - 0.75).abs() == 0.0);
}

/// The exact figure lies within `share` of the bound, rounding aside.
fn holds(found: Bounded, exact: f64, share: f64) -> bool {
    (found.value - exact).abs() <= share * found.error_bound + 1e-14
}

#[test]
fn bins_keep_within_their_bounds() {
    let (mut tight, mut checked) = (0.0_f64, 0);
    for seed in 0..60 {
        for (levels, weighted) in [(0, false), (0, true), (3, false), (50, true)] {
            let rows = drawn(seed, 50 + 20 * seed as usize, levels, weighted);
            let sorted = rows.measure(unlimited());
            for bins in [2, 7, 40, 300] {
                let found = rows.measure(binned(bins));
                let (auc, precision) = (found.auc.expect("both"), found.average_precision.expect("both"));
                assert!(holds(auc, exact(sorted.auc), 1.0), "{seed}, {bins}: {auc:?}, {:?}", sorted.auc);
                assert!(
                    holds(precision, exact(sorted.average_precision), 1.0),
                    "{seed}, {bins}: {precision:?}, {:?}",
                    sorted.average_precision
                );
                for (found, exact) in positive(&found).lift.iter().zip(&positive(&sorted).lift) {
                    assert!(holds(found.gain, exact.gain.value, 1.0), "{seed}, {bins}: {found:?}, {exact:?}");
                }
                if auc.error_bound > 0.0 {
                    tight = tight.max((auc.value - exact(sorted.auc)).abs() / auc.error_bound);
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 500 && tight > 0.05, "{checked} bounds, of which at most {tight} was used");
}

/// Negatives and positives in one bin, either before the other: the worst that a bin can hide.
#[test]
fn the_worst_order_in_a_bin_needs_the_whole_bound() {
    for positives_first in [false, true] {
        let labels = (0..40).map(|row| f64::from(u8::from((row < 20) == positives_first)));
        let scores = (0..40).map(|row| -1.0 - f64::from(row) * 1e-9);
        // A tie far above takes one of the two bins.
        let rows = Rows {
            labels: labels.chain([0.0, 1.0]).collect(),
            scores: scores.chain([1e3, 1e3]).collect(),
            weights: None,
        };
        let sorted = rows.measure(unlimited());
        let found = rows.measure(binned(2));
        let (auc, precision) = (found.auc.expect("both"), found.average_precision.expect("both"));
        assert!(auc.error_bound > 0.4 && holds(auc, exact(sorted.auc), 1.0), "{auc:?}");
        assert!(!holds(auc, exact(sorted.auc), 0.99) && !holds(auc, exact(sorted.auc), 0.0), "{auc:?}");
        assert!(holds(precision, exact(sorted.average_precision), 1.0), "{precision:?}");
        assert!(!holds(precision, exact(sorted.average_precision), 0.5), "{precision:?}");
        let gain = |metrics: &Metrics| positive(metrics).lift[4].gain;
        assert!(holds(gain(&found), gain(&sorted).value, 1.0) && !holds(gain(&found), gain(&sorted).value, 0.5));
    }
}

/// Every number of the metrics, by its place in the JSON.
fn all_figures(metrics: &Metrics) -> Vec<(String, Option<f64>)> {
    fn collect(value: &Value, path: &str, found: &mut Vec<(String, Option<f64>)>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| collect(value, &format!("{path}.{name}"), found));
            }
            Value::Array(values) => {
                values.iter().enumerate().for_each(|(i, value)| collect(value, &format!("{path}.{i}"), found));
            }
            value => found.push((path.to_owned(), value.as_f64())),
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::to_value(metrics).expect("JSON"), "", &mut found);
    found
}

fn check_same(found: &Metrics, expected: &Metrics) -> Result<(), String> {
    let (found, expected) = (all_figures(found), all_figures(expected));
    if found.len() != expected.len() {
        return Err(format!("{} figures instead of {}", found.len(), expected.len()));
    }
    found.iter().zip(&expected).try_for_each(|(found, expected)| match (found.1, expected.1) {
        (None, None) => Ok(()),
        (Some(number), Some(other)) if found.0 == expected.0 => {
            near(number, other, 1e-14).map_err(|error| format!("{}: {error}", found.0))
        }
        _ => Err(format!("{found:?} is not {expected:?}")),
    })
}

#[test]
fn neither_cut_nor_order_nor_threads_change_a_figure() {
    for weighted in [false, true] {
        let rows = drawn(11, 20_000, 0, weighted);
        let count = rows.labels.len();
        let kept = (0..count).filter(|&row| rows.weight(row) > 0.0).count();
        let bytes = kept * if weighted { 16 } else { 8 };
        // Room for all rows, for all but one, for half, for some, for none; and one bin for every score.
        for limit in [(bytes, 64), (bytes - 1, 64), (bytes / 2, 1 << 10), (1000, 500), (0, 1 << 20)] {
            let fresh = || Limit::new(limit.0).with_bins(limit.1);
            let whole = rows.measure(fresh());
            for (cut, backwards) in [(61, false), (333, true), (4096, false), (9_999, true)] {
                let limit = fresh();
                let part = |first: usize| {
                    let mut part = of_two(limit.clone());
                    rows.add_to(&mut part, first..count.min(first + cut));
                    part
                };
                let mut parts: Vec<Accumulator> = (0..count).step_by(cut).map(part).collect();
                if backwards {
                    parts.reverse();
                }
                let mut parts = parts.into_iter();
                let mut found = parts.next().expect("a part");
                parts.for_each(|part| found.merge(part).expect("of one kind"));
                let found = found.finish().expect("there are rows");
                check_same(&found, &whole).unwrap_or_else(|error| panic!("cut {cut}: {error}"));
            }
            // Row by row, and four threads that share a limit.
            let mut one_by_one = of_two(fresh());
            for row in 0..count {
                one_by_one.add(rows.labels[row] as u32, &[rows.scores[row]], rows.weight(row)).expect("a good row");
            }
            let found = one_by_one.finish().expect("there are rows");
            check_same(&found, &whole).unwrap_or_else(|error| panic!("row by row: {error}"));
            let (rows, shared) = (&rows, fresh());
            let found = thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|thread| {
                        let mut part = of_two(shared.clone());
                        scope.spawn(move || {
                            (thread * 250..count)
                                .step_by(1000)
                                .for_each(|first| rows.add_to(&mut part, first..first + 250));
                            part
                        })
                    })
                    .collect();
                let mut parts = threads.into_iter().map(|thread| thread.join().expect("no panic"));
                let mut found = parts.next().expect("a thread");
                parts.for_each(|part| found.merge(part).expect("of one kind"));
                found.finish().expect("there are rows")
            });
            check_same(&found, &whole).unwrap_or_else(|error| panic!("threads: {error}"));
        }
    }
}

#[test]
fn a_row_of_weight_2_counts_as_two() {
    for (seed, levels) in [(71, 0), (72, 3), (73, 40)] {
        let mut rows = drawn(seed, 2_000, levels, true);
        let times: Vec<usize> = (0..2_000).map(|row| row * 7 % 11 % 4).collect();
        rows.weights = Some(times.iter().map(|&times| times as f64).collect());
        let repeat = |values: &[f64]| -> Vec<f64> {
            values.iter().zip(&times).flat_map(|(&value, &times)| std::iter::repeat_n(value, times)).collect()
        };
        let repeated = Rows { labels: repeat(&rows.labels), scores: repeat(&rows.scores), weights: None };
        let check = |rows: &Rows, limit: &dyn Fn() -> Limit| -> Result<(), String> {
            let (found, expected) = (rows.measure(limit()), repeated.measure(limit()));
            near(found.weights, expected.rows as f64, 0.0)?;
            for (found, expected) in positive(&found).calibration.bins.iter().zip(&positive(&expected).calibration.bins)
            {
                near(found.weight, expected.rows as f64, 0.0)?;
            }
            // Rows are what was handed over.
            let figures = |metrics: &Metrics| -> Vec<(String, Option<f64>)> {
                all_figures(metrics).into_iter().filter(|(name, _)| name.rsplit('.').next() != Some("rows")).collect()
            };
            let (found, expected) = (figures(&found), figures(&expected));
            assert!(found.len() > 100 && found.len() == expected.len());
            found.iter().zip(&expected).try_for_each(|((name, found), (_, expected))| {
                near(found.unwrap_or(0.0), expected.unwrap_or(0.0), 1e-13).map_err(|error| format!("{name}: {error}"))
            })
        };
        // Sorted, and with a bin for every score.
        for limit in [&unlimited as &dyn Fn() -> Limit, &|| binned(1 << 16)] {
            check(&rows, limit).unwrap_or_else(|error| panic!("{seed}: {error}"));
            let mut wrong = rows.clone();
            wrong.weights.as_mut().expect("weights")[77] += 1.0;
            assert!(check(&wrong, limit).is_err(), "{seed}");
        }
    }
}

#[test]
fn only_the_ratios_of_weights_count() {
    let rows = drawn(9, 300, 5, true);
    let figures = |unit: f64, limit: Limit| {
        let weights = rows.weights.iter().flatten().map(|weight| weight * unit).collect();
        let found = Rows { weights: Some(weights), ..rows.clone() }.measure(limit);
        let (auc, precision) = (found.auc.expect("both"), found.average_precision.expect("both"));
        let of_ranks =
            [auc.value, auc.error_bound, precision.value, precision.error_bound, positive(&found).lift[2].gain.value];
        let of_rows = [found.log_loss, found.brier, found.accuracy, positive(&found).calibration.expected_error];
        [of_ranks.as_slice(), of_rows.as_slice()].concat()
    };
    for bins in [4, 1000] {
        let expected = figures(1.0, binned(bins));
        // Near the ends of f64, where products of two weights are infinite or 0.
        for unit in [1e-300, 1e-170, 3.0, 1e170, 1e305] {
            near_all(&figures(unit, binned(bins)), &expected, 1e-13).unwrap_or_else(|error| panic!("{unit}: {error}"));
        }
    }
}

#[test]
fn limits_of_merged_accumulators_need_not_be_one() {
    let rows = drawn(3, 1000, 0, false);
    let part = |of: Range<usize>, bytes: usize| {
        let mut part = of_two(Limit::new(bytes).with_bins(64));
        rows.add_to(&mut part, of);
        part
    };
    for (mine, others, is_exact) in [(8000, 4000, true), (7999, 4000, false), (8000, 3999, false)] {
        let mut found = part(0..500, mine);
        found.merge(part(500..1000, others)).expect("of one kind");
        let found = found.finish().expect("rows");
        assert_eq!(found.auc.expect("both").error_bound == 0.0, is_exact, "{mine}, {others}");
    }
}

#[test]
fn a_lost_row_is_noticed() {
    let rows = drawn(11, 20_000, 0, false);
    let mut fewer = rows.clone();
    fewer.labels.pop();
    fewer.scores.pop();
    assert!(check_same(&fewer.measure(binned(64)), &rows.measure(binned(64))).is_err());
}

#[test]
fn ranks_are_exact_while_the_rows_fit() {
    let rows = drawn(3, 1000, 0, false);
    assert!(rows.measure(Limit::new(8000).with_bins(64)).auc.is_some_and(|auc| auc.error_bound == 0.0));
    assert!(rows.measure(Limit::new(7999).with_bins(64)).auc.is_some_and(|auc| auc.error_bound > 0.0));
    // A weight other than 1 doubles the room, also of the rows before it.
    let mut weighted = Rows { weights: Some(vec![1.0; 1000]), ..rows };
    assert!(weighted.measure(Limit::new(8000).with_bins(64)).auc.is_some_and(|auc| auc.error_bound == 0.0));
    weighted.weights.as_mut().expect("weights")[999] = 2.0;
    assert!(weighted.measure(Limit::new(8000).with_bins(64)).auc.is_some_and(|auc| auc.error_bound > 0.0));
    assert!(weighted.measure(Limit::new(16_000).with_bins(64)).auc.is_some_and(|auc| auc.error_bound == 0.0));
    for (bytes, is_exact) in [(15_999, false), (16_000, true)] {
        let mut in_pieces = of_two(Limit::new(bytes).with_bins(64));
        weighted.add_to(&mut in_pieces, 0..999);
        weighted.add_to(&mut in_pieces, 999..1000);
        assert_eq!(in_pieces.finish().expect("rows").auc.expect("both").error_bound == 0.0, is_exact);
    }
    // Whatever the scale and the place of the scores, the bound of n bins is a few times 1 / 2n.
    for (location, scale) in [(0.0, 1.0), (-700.0, 1e-6), (0.0, 1e-200), (1e300, 1e290)] {
        let mut rows = drawn(4, 100_000, 0, false);
        rows.scores.iter_mut().for_each(|score| *score = location + scale * *score);
        let auc = rows.measure(binned(1 << 13)).auc.expect("both classes");
        assert!((1e-6..4e-4).contains(&auc.error_bound), "{location}, {scale}: {auc:?}");
    }
}

#[test]
fn extreme_margins_keep_their_order_and_their_losses() {
    let rows = Rows {
        labels: vec![0.0, 1.0, 1.0, 0.0, 1.0],
        scores: vec![40.0, 50.0, 800.0, f64::NEG_INFINITY, f64::INFINITY],
        weights: None,
    };
    let found = rows.measure(unlimited());
    assert!((exact(found.auc) - 1.0).abs() == 0.0);
    near(found.log_loss, 8.0, 1e-15).expect("40 / 5");
    // On the right side, the loss is what the probability cannot tell.
    let right = Rows { labels: vec![1.0, 0.0], scores: vec![50.0, -50.0], weights: None }.measure(unlimited());
    assert!((right.log_loss / (-50.0_f64).exp() - 1.0).abs() <= 1e-15);

    let infinite = Rows { labels: vec![0.0, 1.0], scores: vec![f64::INFINITY, 1.0], weights: None };
    let found = infinite.measure(unlimited());
    assert!(found.log_loss == f64::INFINITY && found.skill == Some(f64::NEG_INFINITY));
    let json = serde_json::to_value(&found).expect("JSON");
    assert!(json["log_loss"].is_null() && json["skill"].is_null() && json["curve"][0]["threshold"].is_null());
    assert_eq!(
        (&json["rows"], &json["auc"]["value"], &json["auc"]["error_bound"]),
        (&2.into(), &0.0.into(), &0.0.into())
    );
    // Weight 0 takes the row out, its loss too.
    let weighted = Rows { weights: Some(vec![0.0, 1.0]), ..infinite };
    assert!(weighted.measure(unlimited()).log_loss.is_finite());
    // From probabilities.
    let mut accumulator = Accumulator::of_probabilities(Decision::Threshold(0.5), unlimited()).expect("a threshold");
    accumulator.add_batch(&[0, 1], &[0.0, 1.0], None).expect("good rows");
    let right = accumulator.clone().finish().expect("rows");
    assert!(right.log_loss == 0.0 && right.log_loss.is_sign_positive() && right.brier == 0.0);
    for label in [0, 1] {
        let mut wrong = accumulator.clone();
        wrong.add(label, &[1.0 - f64::from(label)], 1.0).expect("a good row");
        assert!(wrong.finish().expect("rows").log_loss == f64::INFINITY);
    }
    accumulator.add(0, &[3e-20], 1.0).expect("a good row");
    assert!((accumulator.finish().expect("rows").log_loss / 1e-20 - 1.0).abs() <= 1e-15);
    // Of three classes, far apart: only the order among losers is lost in probabilities.
    let mut classes = of_three();
    classes
        .add_batch(&[0, 1, 2, 2], &[900.0, 0.0, -900.0, 0.0, 99.0, 0.0, 0.0, 50.0, 100.0, 5.0, 0.0, -1000.0], None)
        .expect("good rows");
    let found = classes.finish().expect("rows");
    near(
        found.log_loss,
        (2.0 * (-99.0_f64).exp() + (-50.0_f64).exp() + 1005.0 + (-5.0_f64).exp().ln_1p()) / 4.0,
        1e-15,
    )
    .expect("by hand");
    assert!(found.classes[0].auc.is_some_and(|auc| (auc.value - 1.0).abs() == 0.0));
}

#[test]
fn a_single_class_leaves_ranks_undefined() {
    for label in [0.0, 1.0] {
        for limit in [unlimited(), binned(4)] {
            let rows = Rows { labels: vec![label; 9], scores: (-4..5).map(f64::from).collect(), weights: None };
            let found = rows.measure(limit);
            assert!(found.auc.is_none() && found.average_precision.is_none() && found.skill.is_none());
            assert!(positive(&found).lift.is_empty() && positive(&found).curve.is_empty());
            assert!(found.base_log_loss == 0.0 && found.log_loss > 0.0);
            assert_eq!(at_threshold(&found).specificity.is_none(), label > 0.5);
            assert_eq!(at_threshold(&found).recall.is_none(), label < 0.5);
            assert!(serde_json::to_value(&found).expect("JSON")["auc"].is_null());
        }
    }
    // A class that does not occur, and one that has no weight.
    let mut classes = of_three();
    let scores = [0.5, 0.1, 0.0, 0.3, 0.9, 0.0, 0.1, 0.2, 5.0];
    classes.add_batch(&[0, 1, 2], &scores, Some(&[1.0, 1.0, 0.0])).expect("good rows");
    let found = classes.finish().expect("rows");
    assert!(found.classes[2].auc.is_none() && found.classes[0].auc.is_some() && found.auc.is_none());
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let empty = || of_two(unlimited());
    let refused = |result: gpu_logreg::Result<()>, words: &str| {
        let error = result.expect_err(words);
        assert!(error.kind == Kind::Data && error.fact.contains(words) && !error.way_out.is_empty(), "{error}");
    };
    let mut accumulator = empty();
    refused(accumulator.add(1, &[f64::NAN], 1.0), "margin of a row is NaN");
    refused(accumulator.add(1, &[0.5], f64::NAN), "weight of a row is NaN");
    refused(accumulator.add(1, &[0.5], -1.0), "weight of a row is -1");
    refused(accumulator.add(1, &[0.5], f64::INFINITY), "weight of a row is inf");
    refused(accumulator.add(2, &[0.5], 1.0), "label of a row is 2");
    refused(accumulator.add(u32::MAX, &[0.5], 1.0), "label of a row is 4294967295");
    refused(accumulator.add_batch(&[1, 0], &[0.5, f64::NAN], None), "row 1 of 2");
    // Nothing of those was added.
    refused(accumulator.clone().finish().map(drop), "no rows");
    accumulator.add(1, &[0.5], 0.0).expect("a good row");
    refused(accumulator.finish().map(drop), "weights of all 1 rows are 0");
    let mut heavy = empty();
    heavy.add_batch(&[1, 0], &[0.5, 0.5], Some(&[1e308, 1e308])).expect("good rows");
    refused(heavy.finish().map(drop), "beyond 1.7976931348623157e308");
    let mut probabilities = Accumulator::of_probabilities(Decision::Threshold(0.5), unlimited()).expect("a threshold");
    refused(probabilities.add(1, &[1.5], 1.0), "probability of a row is 1.5");
    refused(probabilities.add(1, &[f64::NAN], 1.0), "probability of a row is NaN");
    assert!(Accumulator::new(Decision::Threshold(f64::NAN), unlimited()).is_err_and(|error| error.kind == Kind::Usage));
    assert!(Accumulator::new(Decision::Threshold(1.1), unlimited()).is_err_and(|error| error.kind == Kind::Usage));
    // Faults of the caller.
    let internal = |result: gpu_logreg::Result<()>| assert!(result.is_err_and(|error| error.kind == Kind::Internal));
    internal(empty().add_batch(&[1], &[], None));
    internal(empty().add_batch(&[1], &[1.0], Some(&[])));
    internal(empty().merge(probabilities));
    internal(empty().merge(Accumulator::new(Decision::Threshold(0.4), unlimited()).expect("a threshold")));
    internal(empty().merge(empty().calibration_bins(20)));

    let classes = || of_three();
    refused(classes().add(3, &[0.0, 0.0, 0.0], 1.0), "label of a row is 3");
    refused(classes().add(2, &[0.0, f64::NAN, 0.0], 1.0), "margins of a row");
    refused(classes().add(2, &[0.0, 0.0, 0.0], -1.0), "weight of a row is -1");
    refused(classes().finish().map(drop), "no rows");
    let mut probabilities = Accumulator::of_probabilities(Decision::Likeliest(3), unlimited()).expect("classes");
    refused(probabilities.add(2, &[0.5, 0.4, 0.2], 1.0), "probabilities of a row");
    internal(classes().add(2, &[0.0, 0.0], 1.0));
    internal(classes().merge(probabilities));
    internal(classes().merge(Accumulator::new(Decision::Likeliest(4), unlimited()).expect("classes")));
    assert!(Accumulator::new(Decision::Likeliest(1), unlimited()).is_err_and(|error| error.kind == Kind::Usage));
}

#[test]
fn curves_keep_their_ends_and_their_course() {
    let rows = drawn(5, 5000, 0, true);
    let curve = |points: usize| {
        let mut accumulator = of_two(unlimited()).curve_points(points);
        rows.add_to(&mut accumulator, 0..rows.labels.len());
        let found = accumulator.finish().expect("rows");
        (exact(found.auc), positive(&found).prevalence, positive(&found).curve.clone())
    };
    let area = |curve: &[CurvePoint]| -> f64 {
        let step = |pair: &[CurvePoint]| {
            (pair[1].false_positive_rate - pair[0].false_positive_rate)
                * 0.5
                * (pair[1].true_positive_rate + pair[0].true_positive_rate)
        };
        curve.windows(2).map(step).sum()
    };
    for points in [2, 3, 10, 200, 1_000_000] {
        let (auc, prevalence, curve) = curve(points);
        assert!(curve.len() <= points && curve.len() >= points.min(4000) * 9 / 10, "{} of {points}", curve.len());
        let (first, last) = (curve[0], curve[curve.len() - 1]);
        let ends = [first, last].map(|end| [end.false_positive_rate, end.true_positive_rate]);
        near_all(ends.as_flattened(), &[0.0, 0.0, 1.0, 1.0], 0.0).expect("exact ends");
        near(first.precision, 1.0, 0.0).expect("nothing counts as positive");
        near(last.precision, prevalence, 1e-15).expect("all rows count as positive");
        assert!(curve.is_sorted_by(|a, b| {
            a.threshold > b.threshold
                && a.false_positive_rate <= b.false_positive_rate
                && a.true_positive_rate <= b.true_positive_rate
        }));
        // All points give the area, 200 nearly so.
        match points {
            1_000_000 => near(area(&curve), auc, 1e-12).expect("the area under all points"),
            200 => near(area(&curve), auc, 1e-3).expect("the area under 200 points"),
            _ => {}
        }
    }
}

/// So many rows that the sweep goes through them in parts, and so few scores that all of them are points.
#[test]
fn a_curve_of_few_scores_has_every_one_of_them() {
    const SCORES: usize = 50;
    let count = 120_000;
    let class = |row: usize| usize::from((row * row) % 97 < 20 + row % SCORES);
    for weights in [None, Some((0..count).map(|row| 0.5 + (row % 3) as f64).collect::<Vec<f64>>())] {
        let rows = Rows {
            labels: (0..count).map(|row| class(row) as f64).collect(),
            scores: (0..count).map(|row| (row % SCORES) as f64 / 10.0 - 2.5).collect(),
            weights,
        };
        let mut of_scores = [[0.0; 2]; SCORES];
        (0..count).for_each(|row| of_scores[row % SCORES][class(row)] += rows.weight(row));
        let total = |class: usize| of_scores.iter().map(|of_score| of_score[class]).sum::<f64>();
        let curve = positive(&rows.measure(unlimited())).curve.clone();
        assert_eq!(curve.len(), SCORES + 1);
        let (mut f, mut t) = (0.0, 0.0);
        for (point, score) in curve[1..].iter().zip((0..SCORES).rev()) {
            f += of_scores[score][0];
            t += of_scores[score][1];
            let expected = [sigmoid(score as f64 / 10.0 - 2.5), f / total(0), t / total(1), t / (t + f)];
            let found = [point.threshold, point.false_positive_rate, point.true_positive_rate, point.precision];
            near_all(&found, &expected, 1e-12).unwrap_or_else(|error| panic!("{score}: {error}"));
        }
    }
}

#[test]
fn ties_are_spread_over_the_deciles() {
    // One score for all: no decile is better than another.
    let rows =
        Rows { labels: (0..30).map(|row| f64::from(row % 3 / 2)).collect(), scores: vec![1.5; 30], weights: None };
    let found = rows.measure(unlimited());
    let lift = &positive(&found).lift;
    assert_eq!(lift.len(), 10);
    for (i, row) in lift.iter().enumerate() {
        assert_eq!(row.decile, i + 1);
        near_all(
            &[
                row.weight,
                row.positives,
                row.rate,
                row.lift,
                row.gain.value,
                row.cumulative_lift,
                row.lowest_probability,
            ],
            &[3.0, 1.0, 1.0 / 3.0, 1.0, (i + 1) as f64 / 10.0, 1.0, sigmoid(1.5)],
            1e-14,
        )
        .expect("one part in ten");
    }
    // Fewer rows than deciles: they are shared.
    let rows = Rows { labels: vec![1.0, 0.0, 0.0], scores: vec![3.0, 2.0, 1.0], weights: None };
    let gains: Vec<f64> = positive(&rows.measure(unlimited())).lift.iter().map(|row| row.gain.value).collect();
    near_all(&gains, &[0.3, 0.6, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 1e-14).expect("a row is 10/3 deciles");
}
