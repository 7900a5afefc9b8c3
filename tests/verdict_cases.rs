//! Known cases, a row of a table each: what goes in, and whether the maximum exists, which columns separate and which are
//! explained by others, on both engines; and data sets with what R says of them.

mod common {
    pub(crate) mod data;
    pub(crate) mod random;
    pub(crate) mod reference;
}
#[allow(dead_code, reason = "each test file uses its part of the harness")]
mod harness;
#[allow(dead_code, reason = "each test file asks its own question")]
mod programme;
#[allow(dead_code, reason = "each test file uses its part of the tables")]
mod random_tables;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gpu_logreg::data;
use gpu_logreg::engine::Selection;
use gpu_logreg::monitor::Silent;
use gpu_logreg::train::{InferenceJob, Job, train};
use serde_json::{Value, json};

use common::random::Random;
use common::reference::{Fit, Reference};
use harness::{Check, Suite, close};
use programme::{Rows, Verdict};
use random_tables::{Table, dependent};

/// The JSON of a model.
fn model(path: &Path, job: &Job) -> Result<Value, String> {
    let model = data::Table::open(path).and_then(|rows| train(&rows, job, &Silent, &mut |_| {}));
    serde_json::from_str(&model.map_err(|e| e.to_string())?.to_json()).map_err(|e| e.to_string())
}

/// The same of a table made here, after a change of the job.
fn model_of(table: &Table, device: &Selection, change: impl FnOnce(&mut Job)) -> Result<Value, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = folder.path().join("rows.parquet");
    table.write(&path);
    let mut job = Job::new(table.spec(), device.clone());
    change(&mut job);
    model(&path, &job)
}

// ---- separated or not ------------------------------------------------------------------------------------------

/// A group of columns that must be among the causes of a separation.
#[derive(Clone, Copy)]
struct Cause {
    columns: &'static [&'static str],
    /// The class that its rows do not have.
    lacks: Option<&'static str>,
    /// The rows that it tells apart.
    rows: Option<u64>,
}

const fn cause(columns: &'static [&'static str]) -> Cause {
    Cause { columns, lacks: None, rows: None }
}

const fn level(columns: &'static [&'static str], rows: u64) -> Cause {
    Cause { columns, lacks: None, rows: Some(rows) }
}

#[derive(Clone, Copy)]
enum Expected {
    /// `separated`, with these causes among others, in any order.
    Separated(&'static [Cause]),
    /// `separated`, and this cause is the first.
    SeparatedFirst(Cause),
    /// The maximum exists, and is reached.
    Converged,
    /// The maximum exists, but may be out of reach of 32 bits.
    Exists,
}

impl Expected {
    /// Whether a model says so.
    fn check(self, model: &Value) -> Check {
        let training = &model["training"];
        let status = training["status"].as_str().ok_or("no status")?;
        let separation = training.get("separation");
        let fits = match self {
            Self::Separated(_) | Self::SeparatedFirst(_) => status == "separated",
            Self::Converged => status == "converged",
            Self::Exists => matches!(status, "converged" | "f32_limit" | "stalled" | "max_iterations"),
        };
        if !fits {
            return Err(format!("the status is {status}"));
        }
        let (wanted, first) = match self {
            Self::Separated(causes) => (causes.to_vec(), false),
            Self::SeparatedFirst(cause) => (vec![cause], true),
            Self::Converged | Self::Exists if separation.is_some() => {
                return Err(format!("a separation beside {status}: {training}"));
            }
            Self::Converged | Self::Exists => return Ok(()),
        };
        let separation = separation.ok_or("no separation is described")?;
        let found = separation["causes"].as_array().filter(|causes| !causes.is_empty()).ok_or("no causes")?;
        for wanted in wanted {
            let is_it = |found: &&Value| found["columns"] == json!(wanted.columns);
            let found = if first { found.first().filter(is_it) } else { found.iter().find(is_it) };
            let found =
                found.ok_or_else(|| format!("{:?} is not named where it belongs: {separation}", wanted.columns))?;
            if wanted.lacks.is_some_and(|class| found["lacks"] != class) {
                return Err(format!("the class that it lacks is not {:?}: {found}", wanted.lacks));
            }
            if wanted.rows.is_some_and(|rows| found["rows"] != rows) {
                return Err(format!("the rows are not {:?}: {found}", wanted.rows));
            }
        }
        Ok(())
    }

    /// The part of a model that says just what is expected.
    fn ideal(self) -> Value {
        let of = |cause: &Cause| {
            let mut about = json!({ "columns": cause.columns, "rows": cause.rows.unwrap_or(7), "on_edge": 0 });
            if let Some(class) = cause.lacks {
                about["lacks"] = json!(class);
            }
            about
        };
        let causes: Vec<Value> = match &self {
            Self::Separated([]) => vec![of(&cause(&["any"]))],
            Self::Separated(causes) => causes.iter().map(of).collect(),
            Self::SeparatedFirst(cause) => vec![of(cause)],
            Self::Converged | Self::Exists => return json!({ "training": { "status": "converged" } }),
        };
        json!({ "training": { "status": "separated", "separation": { "causes": causes } } })
    }

    /// What must not pass for it.
    fn spoiled(self) -> Vec<Value> {
        let ideal = self.ideal();
        let status = |status: &str| {
            let mut model = ideal.clone();
            model["training"]["status"] = json!(status);
            model
        };
        let (causes, first) = match self {
            Self::Converged | Self::Exists => {
                let mut described = ideal.clone();
                described["training"]["separation"] = json!({ "causes": [] });
                return vec![status("separated"), status("line_search_failed"), described];
            }
            Self::Separated(causes) => (causes.to_vec(), false),
            Self::SeparatedFirst(cause) => (vec![cause], true),
        };
        let mut spoiled = vec![status("converged"), status("f32_limit")];
        let mut silent = ideal.clone();
        silent["training"].as_object_mut().expect("an object").remove("separation");
        spoiled.push(silent);
        let mut changed = |place: usize, change: &dyn Fn(&mut Value)| {
            let mut model = ideal.clone();
            change(&mut model["training"]["separation"]["causes"][place]);
            spoiled.push(model);
        };
        for (place, cause) in causes.iter().enumerate() {
            changed(place, &|cause| cause["columns"] = json!(["another"]));
            if cause.lacks.is_some() {
                changed(place, &|cause| cause["lacks"] = json!("another"));
            }
            if cause.rows.is_some() {
                changed(place, &|cause| cause["rows"] = json!(1_000_000));
            }
        }
        if first {
            let mut second = ideal.clone();
            let causes = second["training"]["separation"]["causes"].as_array_mut().expect("a list");
            causes.insert(0, json!({ "columns": ["another"], "rows": 1, "on_edge": 0 }));
            spoiled.push(second);
        }
        spoiled
    }
}

/// A row of the table.
struct Case {
    name: &'static str,
    table: fn() -> Table,
    l2: f64,
    expected: Expected,
}

const fn case(name: &'static str, table: fn() -> Table, expected: Expected) -> Case {
    Case { name, table, l2: 0.0, expected }
}

const CASES: &[Case] = &[
    // A few rows of one kind, all of one class, in many.
    case("column_of_one_row_in_1000", || rare_column(1_000, 1, 0), Expected::Separated(&[level(&["rare"], 1)])),
    case("column_of_one_row_in_50000", || rare_column(50_000, 1, 0), Expected::Separated(&[level(&["rare"], 1)])),
    case("column_of_3_rows_in_200000", || rare_column(200_000, 3, 0), Expected::Separated(&[level(&["rare"], 3)])),
    case("level_of_one_row_in_50000", || rare_level(50_000, 1, 0), Expected::Separated(&[level(&["text=rare"], 1)])),
    case("level_of_5_rows_in_50000", || rare_level(50_000, 5, 0), Expected::Separated(&[level(&["text=rare"], 5)])),
    // The same with one row of the other class among them.
    case("column_of_3_rows_of_both_classes", || rare_column(50_000, 3, 1), Expected::Converged),
    case("level_of_5_rows_of_both_classes", || rare_level(50_000, 5, 1), Expected::Converged),
    case("pure_reference", pure_reference, Expected::Separated(&[])),
    case("level_pure_but_for_weight_0", level_pure_but_for_weight_0, Expected::Separated(&[cause(&["text=rare"])])),
    case("many_pure_levels", many_pure_levels, Expected::Separated(PURE_LEVELS)),
    Case { l2: 0.01, ..case("many_pure_levels_with_a_penalty", many_pure_levels, Expected::Converged) },
    // The cause comes before what it makes pure on the way.
    case("number_that_is_the_label", number_that_is_the_label, Expected::SeparatedFirst(cause(&["delay"]))),
    case("pure_cell", || cell(true), Expected::Separated(&[cause(&["product"])])),
    case("cell_of_both_classes", || cell(false), Expected::Converged),
    case("level_without_the_third_class", || three_classes(false), Expected::Separated(&[WITHOUT_C])),
    case("level_with_one_row_of_the_third_class", || three_classes(true), Expected::Converged),
    // Offsets are no part of the question.
    case("offset_that_sorts_the_classes", || with_offset(false), Expected::Converged),
    case("features_that_sort_them_beside_an_offset", || with_offset(true), Expected::Separated(&[cause(&["x"])])),
    // Nearer than 32 bits see.
    case("overlap_of_1e-10", || ends(0.0, -1e-10), Expected::Exists),
    case("gap_of_1e-10", || ends(0.0, 1e-10), Expected::Separated(&[cause(&["x"])])),
    case("overlap_of_1e-10_about_3", || ends(3.0, -1e-10), Expected::Exists),
    case("gap_of_1e-10_about_3", || ends(3.0, 1e-10), Expected::Separated(&[cause(&["x"])])),
    case("tie_at_the_end", || ends(0.0, 0.0), Expected::Separated(&[cause(&["x"])])),
];

/// A number that the label depends on, moderately.
fn slope(rows: usize, random: &mut Random) -> (Vec<f64>, Vec<usize>) {
    let x: Vec<f64> = (0..rows).map(|_| random.normal()).collect();
    let label = x.iter().map(|x| usize::from(random.unit() < 1.0 / (1.0 + (-0.3 - x).exp()))).collect();
    (x, label)
}

fn numbers(columns: Vec<(&str, Vec<f64>)>) -> Vec<(String, Vec<f64>)> {
    columns.into_iter().map(|(name, values)| (name.to_owned(), values)).collect()
}

fn texts(name: &str, values: Vec<String>) -> Vec<(String, Vec<String>)> {
    vec![(name.to_owned(), values)]
}

/// So many rows of class 0, but for the first `others`, all over the table.
fn rare_rows(label: &mut [usize], count: usize, others: usize, random: &mut Random) -> Vec<usize> {
    let negative: Vec<usize> = (0..label.len()).filter(|row| label[*row] == 0).collect();
    let rows: Vec<usize> = random.some_of(count, negative.len()).into_iter().map(|place| negative[place]).collect();
    for row in &rows[..others] {
        label[*row] = 1;
    }
    rows
}

fn rare_column(rows: usize, count: usize, others: usize) -> Table {
    let mut random = Random(31);
    let (x, mut label) = slope(rows, &mut random);
    let mut rare = vec![0.0; rows];
    for row in rare_rows(&mut label, count, others, &mut random) {
        rare[row] = 1.0;
    }
    Table { numbers: numbers(vec![("x", x), ("rare", rare)]), label, classes: 2, ..Table::default() }
}

fn rare_level(rows: usize, count: usize, others: usize) -> Table {
    let mut random = Random(32);
    let (x, mut label) = slope(rows, &mut random);
    let mut text: Vec<String> = (0..rows).map(|_| random.one_of(&["p", "q"]).to_owned()).collect();
    for row in rare_rows(&mut label, count, others, &mut random) {
        "rare".clone_into(&mut text[row]);
    }
    Table { numbers: numbers(vec![("x", x)]), texts: texts("text", text), label, classes: 2, ..Table::default() }
}

/// The level that is the reference, by its name, has four rows of one class.
fn pure_reference() -> Table {
    let mut table = rare_level(3_000, 4, 0);
    for value in table.texts.iter_mut().flat_map(|text| &mut text.1).filter(|value| *value == "rare") {
        "a".clone_into(value);
    }
    table
}

/// The rows of the other class do not count.
fn level_pure_but_for_weight_0() -> Table {
    let mut table = rare_level(3_000, 20, 8);
    let counts = |row: usize| table.texts[0].1[row] != "rare" || table.label[row] == 0;
    table.weights = Some((0..table.rows()).map(|row| if counts(row) { 1.0 + (row % 3) as f64 } else { 0.0 }).collect());
    table
}

/// The levels that are pure in [`many_pure_levels`], each with its rows.
const PURE_LEVELS: &[Cause] = &[
    level(&["place=l03"], 1),
    level(&["place=l05"], 2),
    level(&["place=l08"], 3),
    level(&["place=l11"], 4),
    level(&["place=l12"], 5),
    level(&["place=l17"], 6),
    level(&["place=l18"], 9),
    level(&["place=l21"], 13),
    level(&["place=l24"], 20),
    level(&["place=l25"], 31),
    level(&["place=l28"], 50),
    level(&["place=l29"], 80),
];

/// Thirty levels, twelve of them pure, of one class or the other.
fn many_pure_levels() -> Table {
    let mut random = Random(33);
    let (mut x, mut label) = slope(6_000, &mut random);
    let pure: Vec<String> = PURE_LEVELS.iter().map(|cause| cause.columns[0]["place=".len()..].to_owned()).collect();
    let others: Vec<String> = (0..30).map(|code| format!("l{code:02}")).filter(|name| !pure.contains(name)).collect();
    let mut place: Vec<String> = (0..label.len()).map(|_| others[random.below(others.len())].clone()).collect();
    for (index, (name, cause)) in pure.iter().zip(PURE_LEVELS).enumerate() {
        for _ in 0..cause.rows.expect("rows of each") {
            place.push(name.clone());
            label.push(index % 2);
            x.push(random.normal());
        }
    }
    Table { numbers: numbers(vec![("x", x)]), texts: texts("place", place), label, classes: 2, ..Table::default() }
}

/// Late is whoever is more than 15 minutes late; and one row has a place of its own.
fn number_that_is_the_label() -> Table {
    let mut random = Random(34);
    let mut delay: Vec<f64> = (0..20_000).map(|_| (7.0 + 45.0 * random.normal()).round()).collect();
    let mut dest: Vec<String> = delay.iter().map(|_| random.one_of(&["ATL", "ORD", "SFO"]).to_owned()).collect();
    delay[5] = -22.0;
    "LEX".clone_into(&mut dest[5]);
    let label = delay.iter().map(|delay| usize::from(*delay > 15.0)).collect();
    Table {
        numbers: numbers(vec![("delay", delay)]),
        texts: texts("dest", dest),
        label,
        classes: 2,
        ..Table::default()
    }
}

/// Two columns of 0 and 1 and their product, the rows of which are all of one class, or all but one.
fn cell(is_pure: bool) -> Table {
    let mut random = Random(35);
    let (x, mut label) = slope(3_000, &mut random);
    let mut coin = || -> Vec<f64> { x.iter().map(|_| f64::from(u8::from(random.chance(0.3)))).collect() };
    let (a, b) = (coin(), coin());
    let product: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
    let cell: Vec<usize> = (0..label.len()).filter(|row| product[*row] > 0.0).collect();
    for row in &cell {
        label[*row] = 1;
    }
    if !is_pure {
        label[cell[cell.len() / 2]] = 0;
    }
    let numbers = numbers(vec![("x", x), ("a", a), ("b", b), ("product", product)]);
    Table { numbers, label, classes: 2, ..Table::default() }
}

const WITHOUT_C: Cause = Cause { columns: &["text=v"], lacks: Some("c"), rows: None };

/// The third class occurs in two of three levels, or in one row of the last one too.
fn three_classes(with_one: bool) -> Table {
    let mut random = Random(36);
    let text: Vec<String> = (0..2_000).map(|_| random.one_of(&["t", "u", "v"]).to_owned()).collect();
    let x: Vec<f64> = text.iter().map(|_| random.normal()).collect();
    let mut label: Vec<usize> = text.iter().map(|value| random.below(if value == "v" { 2 } else { 3 })).collect();
    if with_one {
        let row = text.iter().position(|value| value == "v").expect("a row of the level");
        label[row] = 2;
    }
    Table { numbers: numbers(vec![("x", x)]), texts: texts("text", text), label, classes: 3, ..Table::default() }
}

/// An offset that is beyond 0 where the label is, beside a feature that knows little; or a feature that knows all, beside
/// an offset that knows nothing.
fn with_offset(feature_knows: bool) -> Table {
    let mut random = Random(37);
    let (x, label) = slope(1_000, &mut random);
    let sorted = |random: &mut Random, class: usize| (2.0 * class as f64 - 1.0) * (0.5 + 3.0 * random.unit());
    let of_label: Vec<f64> = label.iter().map(|class| sorted(&mut random, *class)).collect();
    let (x, offsets) = if feature_knows { (of_label, x) } else { (x, of_label) };
    Table { numbers: numbers(vec![("x", x)]), label, classes: 2, offsets: Some(offsets), ..Table::default() }
}

/// One column, in which the lowest value of one class is `gap` above the highest of the other, both beside `middle`.
fn ends(middle: f64, gap: f64) -> Table {
    let mut random = Random(38);
    let mut x: Vec<f64> = (0..300).map(|_| random.normal()).filter(|x| x.abs() > 0.01).collect();
    let mut label: Vec<usize> = x.iter().map(|x| usize::from(*x > 0.0)).collect();
    x.extend([-gap / 2.0, gap / 2.0]);
    label.extend([0, 1]);
    let x = x.into_iter().map(|x| x + middle).collect();
    Table { numbers: numbers(vec![("x", x)]), label, classes: 2, ..Table::default() }
}

fn run(case: &Case, device: &Selection) -> Check {
    let table = (case.table)();
    case.expected.check(&model_of(&table, device, |job| job.l2 = case.l2)?)
}

/// What is expected of each case passes its check, and whatever is not does not.
fn checks_can_fail() -> Check {
    let mut spoiled = 0;
    for case in CASES {
        case.expected.check(&case.expected.ideal()).map_err(|fault| format!("{}: {fault}", case.name))?;
        for model in case.expected.spoiled() {
            spoiled += 1;
            if case.expected.check(&model).is_ok() {
                return Err(format!("{}: this passes: {model}", case.name));
            }
        }
    }
    // Three of each, one more for each name.
    if spoiled < 3 * CASES.len() + PURE_LEVELS.len() { Err(format!("only {spoiled} spoiled answers")) } else { Ok(()) }
}

/// What is expected of the small tables is what the linear programme finds: of the whole table, and of each column that is
/// to be named, on its own. Nearer than it sees are only the gaps of 1e-10.
fn expectations_are_those_of_the_programme() -> Check {
    let mut named = 0;
    for case in CASES.iter().filter(|case| case.l2 == 0.0 && !case.name.contains("1e-10")) {
        let table = (case.table)();
        if table.rows() > 10_000 {
            continue;
        }
        let design = table.design();
        let verdict = |wanted: &dyn Fn(&str) -> bool| {
            let columns: Vec<&[f64]> =
                design.iter().filter(|column| wanted(&column.0)).map(|column| column.1.as_slice()).collect();
            let weights = table.weights.as_deref();
            Rows { columns: &columns, label: &table.label, classes: table.classes, weights }.verdict()
        };
        let causes: &[Cause] = match &case.expected {
            Expected::Separated(causes) => causes,
            Expected::SeparatedFirst(cause) => std::slice::from_ref(cause),
            Expected::Converged | Expected::Exists => &[],
        };
        let is_separated = matches!(case.expected, Expected::Separated(_) | Expected::SeparatedFirst(_));
        let found = verdict(&|_| true);
        if found == Verdict::Unclear || found.is_separated() != is_separated {
            return Err(format!("{}: the programme finds {found:?}", case.name));
        }
        for cause in causes {
            let alone = verdict(&|name| cause.columns.contains(&name));
            if !alone.is_separated() {
                return Err(format!("{}: {:?} on their own: {alone:?}", case.name, cause.columns));
            }
            named += 1;
        }
    }
    if named < PURE_LEVELS.len() + 4 { Err(format!("only {named} causes were looked at")) } else { Ok(()) }
}

// ---- explained columns -----------------------------------------------------------------------------------------

/// Names of the features that are aliased.
fn aliased(model: &Value) -> Result<Vec<&str>, String> {
    let features = model["features"].as_array().ok_or("no features")?;
    Ok(features.iter().filter(|feature| feature["aliased"] == true).filter_map(|f| f["name"].as_str()).collect())
}

/// Each day as a column, after one for the weekend: the second day of it is explained, and the rest is as without it.
fn weekend_is_its_days(device: &Selection) -> Check {
    const DAYS: [&str; 7] = ["fri", "mon", "sat", "sun", "thu", "tue", "wed"];
    let mut random = Random(10);
    let day: Vec<usize> = (0..3_000).map(|_| random.below(7)).collect();
    let is = |days: &[usize]| -> Vec<f64> { day.iter().map(|day| f64::from(u8::from(days.contains(day)))).collect() };
    let x: Vec<f64> = day.iter().map(|_| random.normal()).collect();
    let weekend = is(&[2, 3]);
    let monday = is(&[1]);
    let odds = |row: usize| (-0.5 + 0.5 * x[row] + 0.2 * monday[row] + 0.9 * weekend[row]).exp();
    let label: Vec<usize> = (0..3_000).map(|row| usize::from(random.unit() < odds(row) / (1.0 + odds(row)))).collect();
    let first = numbers(vec![("x", x.clone()), ("weekend", weekend.clone())]);
    let columns = (1..7).map(|day| (format!("day={}", DAYS[day]), is(&[day])));
    let written_out = Table {
        numbers: first.iter().cloned().chain(columns).collect(),
        label: label.clone(),
        classes: 2,
        ..Table::default()
    };
    let text = day.iter().map(|day| DAYS[*day].to_owned()).collect();
    let as_text =
        Table { numbers: first, texts: texts("day", text), label: label.clone(), classes: 2, ..Table::default() };
    let kept: Vec<Vec<f64>> =
        [x, weekend].into_iter().chain([1, 2, 4, 5, 6].into_iter().map(|day| is(&[day]))).collect();
    let expected = Reference::PLAIN.fit(&kept, &label.iter().map(|class| *class == 1).collect::<Vec<_>>());
    for table in [written_out, as_text] {
        let model = model_of(&table, device, |job| job.inference = Some(inference(false)))?;
        Expected::Converged.check(&model)?;
        if aliased(&model)? != ["day=sun"] {
            return Err(format!("aliased: {:?}", aliased(&model)?));
        }
        let mut found = Estimates::of(&model)?;
        found.coefficients.remove(4);
        found.errors.remove(4);
        let expected = Estimates::from(&expected);
        found.check(&expected)?;
        // The check would see a coefficient that is a hundredth of a standard error off.
        expected.can_fail(&found)?;
    }
    Ok(())
}

/// Complete sets of four dummies: the last of each is explained by the intercept and the others.
fn sets_of_dummies(device: &Selection) -> Check {
    let mut checked = 0;
    for sets in 2..=8 {
        for seed in 0..5 {
            let mut random = Random(100 * sets + seed);
            let (_, label) = slope(1_000, &mut random);
            let codes: Vec<Vec<usize>> = (0..sets).map(|_| label.iter().map(|_| random.below(4)).collect()).collect();
            let of_set = |(set, codes): (usize, &Vec<usize>)| -> Vec<(String, Vec<f64>)> {
                let is = |level: usize| codes.iter().map(|code| f64::from(u8::from(*code == level))).collect();
                (0..4).map(|level| (format!("set{set}_{level}"), is(level))).collect()
            };
            let numbers: Vec<(String, Vec<f64>)> = codes.iter().enumerate().flat_map(of_set).collect();
            let explained = dependent::explained(numbers.iter().map(|column| column.1.as_slice()));
            let expected: Vec<String> = (0..sets).map(|set| format!("set{set}_3")).collect();
            let names: Vec<&String> = numbers.iter().zip(explained).filter(|c| c.1).map(|c| &c.0.0).collect();
            if names.iter().any(|name| !expected.contains(name)) || names.len() != expected.len() {
                return Err(format!("the elimination finds {names:?}"));
            }
            let table = Table { numbers, label, classes: 2, ..Table::default() };
            let model = model_of(&table, device, |_| {})?;
            let fault = |fault| format!("{sets} sets, seed {seed}: {fault}");
            if aliased(&model)? != expected {
                return Err(fault(format!("aliased: {:?}, {}", aliased(&model)?, model["training"]["status"])));
            }
            Expected::Converged.check(&model).map_err(fault)?;
            checked += 1;
        }
    }
    if checked == 35 { Ok(()) } else { Err(format!("{checked} tables were checked")) }
}

// ---- what R says -----------------------------------------------------------------------------------------------

fn inference(robust: bool) -> InferenceJob {
    InferenceJob { confidence: 0.95, robust }
}

/// Coefficients and their standard errors, the intercept last; of several classes one class after the other.
#[derive(Clone)]
struct Estimates {
    coefficients: Vec<f64>,
    errors: Vec<f64>,
}

impl Estimates {
    fn of(model: &Value) -> Result<Self, String> {
        let features = model["features"].as_array().ok_or("no features")?;
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let mut found = Self { coefficients: Vec::new(), errors: Vec::new() };
        if let Some(intercepts) = model["intercepts"].as_array() {
            for class in 1..intercepts.len() {
                for feature in features {
                    found.coefficients.push(number(&feature["coefficients"][class]));
                    found.errors.push(number(&feature["inference"][class]["standard_error"]));
                }
                found.coefficients.push(number(&intercepts[class]));
                found.errors.push(number(&model["intercepts_inference"][class]["standard_error"]));
            }
            return Ok(found);
        }
        for feature in features {
            found.coefficients.push(number(&feature["coefficient"]));
            found.errors.push(number(&feature["standard_error"]));
        }
        found.coefficients.push(number(&model["intercept"]));
        found.errors.push(number(&model["intercept_inference"]["standard_error"]));
        Ok(found)
    }

    /// Those of R, in the order of `names`.
    fn of_r(reference: &Value, names: &[&str], errors: &str) -> Result<Self, String> {
        let theirs = reference["names"].as_array().ok_or("no names")?;
        let order: Vec<usize> = names
            .iter()
            .map(|name| theirs.iter().position(|their| their == name).ok_or_else(|| format!("R has no {name}")))
            .collect::<Result<_, _>>()?;
        if order.len() != theirs.len() {
            return Err(format!("R has {theirs:?}, the program {names:?}"));
        }
        let values = |part: &str| -> Vec<f64> {
            let of = |values: &Value| -> Vec<f64> {
                order.iter().map(|place| values[*place].as_f64().unwrap_or(f64::NAN)).collect()
            };
            let values = &reference[part];
            if values[0].is_array() {
                values.as_array().into_iter().flatten().flat_map(of).collect()
            } else {
                of(values)
            }
        };
        Ok(Self { coefficients: values("coef"), errors: values(errors) })
    }

    /// Coefficients within 1e-4 of their standard errors, and these within 1e-4 of themselves.
    fn check(&self, expected: &Self) -> Check {
        close("coefficients", &self.coefficients, &expected.coefficients, |j| 1e-4 * expected.errors[j])?;
        close("standard errors", &self.errors, &expected.errors, |j| 1e-4 * expected.errors[j])
    }

    /// The check sees it if any of the expected numbers is another.
    fn can_fail(&self, found: &Self) -> Check {
        for j in 0..self.errors.len() {
            let mut spoiled = [self.clone(), self.clone(), self.clone()];
            spoiled[0].coefficients[j] += 1e-3 * self.errors[j];
            spoiled[1].errors[j] *= 1.001;
            spoiled[2].errors[j] = f64::NAN;
            if spoiled.iter().any(|spoiled| found.check(spoiled).is_ok()) {
                return Err(format!("the tolerance of number {j} means nothing"));
            }
        }
        Ok(())
    }
}

impl From<&Fit> for Estimates {
    fn from(fit: &Fit) -> Self {
        Self {
            coefficients: fit.coefficients.iter().copied().chain([fit.intercept]).collect(),
            errors: fit.standard_errors.iter().copied().chain([fit.intercept_standard_error]).collect(),
        }
    }
}

fn of_r(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/r")).join(name)
}

/// The job that the flags of a reference ask for.
fn job(flags: &[&str], device: &Selection) -> Result<Job, String> {
    let mut job = Job::new(data::Spec::default(), device.clone());
    let (flags, []) = flags.as_chunks::<2>() else { return Err(format!("odd flags: {flags:?}")) };
    for [flag, value] in flags {
        let spec = &mut job.spec;
        match *flag {
            "--label" => spec.label = Some((*value).into()),
            "--positive" => spec.positive = Some((*value).into()),
            "--features" => spec.features = Some(value.split(',').map(Into::into).collect()),
            "--weight" => spec.weight = Some((*value).into()),
            "--offset" => spec.offsets.push((*value).into()),
            "--reference" => {
                let (column, level) = value.split_once('=').ok_or("no level")?;
                spec.references.push((column.into(), level.into()));
            }
            _ => return Err(format!("{flag} is not known here")),
        }
    }
    Ok(job)
}

/// Coefficients, standard errors and robust ones of a data set are those of R.
fn is_as_in_r(name: &str, device: &Selection) -> Check {
    let text = std::fs::read_to_string(of_r(&format!("{name}.ref.json"))).map_err(|e| e.to_string())?;
    let reference: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let flags: Vec<&str> = reference["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (errors, robust) in [("se", false), ("robust", true)] {
        let job = Job { inference: Some(inference(robust)), ..job(&flags, device)? };
        let model = model(&of_r(&format!("{name}.parquet")), &job)?;
        let fault = |fault| format!("{errors}: {fault}");
        Expected::Converged.check(&model).map_err(fault)?;
        let features = model["features"].as_array().ok_or("no features")?;
        let names: Vec<&str> =
            features.iter().filter_map(|feature| feature["name"].as_str()).chain(["intercept"]).collect();
        let expected = Estimates::of_r(&reference, &names, errors)?;
        let found = Estimates::of(&model)?;
        found.check(&expected).map_err(fault)?;
        expected.can_fail(&found).map_err(fault)?;
    }
    Ok(())
}

/// Data sets with R's answer.
const OF_R: [&str; 6] = ["bacteria", "birthwt", "housing", "infert_poly", "pima_offset", "ucb"];

/// Levels of customers of whom none bought; in R, standard errors of millions are all that is seen of it.
const NEVER_BOUGHT: &[Cause] = &[
    level(&["STYPE=Fresh masters in the city"], 13),
    level(&["STYPE=Large family farms"], 137),
    level(&["STYPE=Residential elderly"], 41),
    level(&["STYPE=Senior cosmopolitans"], 7),
    level(&["STYPE=Single youth"], 27),
    level(&["STYPE=Students in apartments"], 25),
    level(&["STYPE=Suburban youth"], 7),
    level(&["STYPE=Young urban have-nots"], 29),
    level(&["MGODRK=100%"], 10),
    level(&["MGODRK=89 - 99%"], 3),
    level(&["MBERBOER=100%"], 13),
    level(&["MBERBOER=63 - 75%"], 21),
    level(&["MBERBOER=76 - 88%"], 3),
    level(&["MBERBOER=89 - 99%"], 15),
    level(&["PPERSAUT=f 10000-19999"], 5),
    level(&["PPERSAUT=f 200-499"], 4),
    level(&["PPERSAUT=f 20000-?"], 1),
    level(&["PBRAND=f 10000-19999"], 2),
    level(&["PBRAND=f 5000-9999"], 12),
];

/// Real data with nineteen levels of one class, and the reference of a category besides.
fn levels_that_never_bought(device: &Selection) -> Check {
    let features = "STYPE,MAANTHUI,MGODRK,MOPLHOOG,MBERBOER,MINKGEM,MKOOPKLA,PPERSAUT,PBRAND,APLEZIER,PWAPART";
    let job = job(&["--label", "CARAVAN", "--positive", "insurance", "--features", features], device)?;
    let expected = Expected::Separated(NEVER_BOUGHT);
    expected.check(&expected.ideal())?;
    if let Some(passing) = expected.spoiled().iter().find(|model| expected.check(model).is_ok()) {
        return Err(format!("this passes: {passing}"));
    }
    expected.check(&model(&of_r("ticdata.parquet"), &job)?)
}

type Test = fn(&Selection) -> Check;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.cpu("checks_can_fail", checks_can_fail);
    suite.cpu("expectations_are_those_of_the_programme", expectations_are_those_of_the_programme);
    for case in CASES {
        suite.cpu(case.name, move || run(case, &Selection::Cpu));
        suite.gpu(case.name, move |_| run(case, &Selection::Gpu));
    }
    for name in OF_R {
        suite.cpu(&format!("{name}_is_as_in_r"), move || is_as_in_r(name, &Selection::Cpu));
        suite.gpu(&format!("{name}_is_as_in_r"), move |_| is_as_in_r(name, &Selection::Gpu));
    }
    let others: [(&str, Test); 3] = [
        ("weekend_is_its_days", weekend_is_its_days),
        ("sets_of_dummies", sets_of_dummies),
        ("levels_that_never_bought", levels_that_never_bought),
    ];
    for (name, check) in others {
        suite.cpu(name, move || check(&Selection::Cpu));
        suite.gpu(name, move |_| check(&Selection::Gpu));
    }
    suite.run()
}
