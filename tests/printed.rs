//! Every number that the terminal prints of a model and of its quality, against the JSON of the same run: the lines at
//! the head and every cell of every table, each by the names of its line and its column.

/// What tests of the program as a process share; each file takes the parts that it uses.
mod common {
    pub(crate) mod adapter;
    pub(crate) mod data;
    pub(crate) mod files;
    pub(crate) mod process;
    pub(crate) mod random;
}

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, StringArray};
use serde_json::Value;

use common::adapter::has_adapter;
use common::process::{Place, number};
use common::random::Random;

// ---- data made here -------------------------------------------------------------------------------------------

const ROWS: usize = 700;

/// Features `x`, `u` of another scale and the category `city`, weights `w` and `half`, an offset `o`, the label `y`, and
/// three classes `kind`. No name has a digit: what reads as a number in the output is one.
fn place() -> Place {
    let mut random = Random(77);
    let label = |random: &mut Random, margin: f64| random.unit() < 1.0 / (1.0 + (-margin).exp());
    let x: Vec<f64> = (0..ROWS).map(|_| 4.0 * random.unit() - 1.0).collect();
    let u: Vec<f64> = (0..ROWS).map(|_| 1e4 * random.unit()).collect();
    let city: Vec<usize> = (0..ROWS).map(|_| (random.unit() * 3.0) as usize).collect();
    let margin = |row: usize| 0.9 * x[row] - 2e-4 * u[row] + 0.5 * city[row] as f64;
    let y: Vec<bool> = (0..ROWS).map(|row| label(&mut random, margin(row))).collect();
    let kind: Vec<&str> = (0..ROWS)
        .map(|row| match (label(&mut random, margin(row)), label(&mut random, 0.5 - x[row])) {
            (true, _) => "oak",
            (false, true) => "fir",
            (false, false) => "elm",
        })
        .collect();
    let weights: Vec<i32> = (0..ROWS).map(|_| (random.unit() * 4.0) as i32).collect();
    let halves: Vec<f64> = (0..ROWS).map(|_| 0.3 + random.unit()).collect();
    let offset: Vec<f64> = (0..ROWS).map(|_| random.unit() - 0.5).collect();
    let cities: Vec<&str> = city.iter().map(|&city| ["Aachen", "Bonn", "Celle"][city]).collect();
    let columns: [(&str, ArrayRef); 8] = [
        ("x", Arc::new(Float64Array::from(x))),
        ("u", Arc::new(Float64Array::from(u))),
        ("city", Arc::new(StringArray::from(cities))),
        ("w", Arc::new(Int32Array::from(weights))),
        ("half", Arc::new(Float64Array::from(halves))),
        ("o", Arc::new(Float64Array::from(offset))),
        ("y", Arc::new(BooleanArray::from(y))),
        ("kind", Arc::new(StringArray::from(kind))),
    ];
    Place::with_data(&columns)
}

// ---- numbers as they are shown --------------------------------------------------------------------------------

/// Seven significant digits; with an exponent where the number would be long.
fn seven(x: f64) -> String {
    if x == 0.0 {
        return "0".into();
    }
    let scientific = format!("{x:.6e}");
    let exponent: i32 = scientific.split_once('e').expect("an exponent").1.parse().expect("a whole number");
    if (-5..9).contains(&exponent) { format!("{x:.*}", (6 - exponent).max(0) as usize) } else { scientific }
}

/// The digits of a number down to the least power of ten that is no smaller than its error: seven of them at most.
fn held(x: f64, error: f64) -> String {
    let scientific = format!("{x:.6e}");
    let exponent: i32 = scientific.split_once('e').expect("an exponent").1.parse().expect("a whole number");
    let least = (-400..400).find(|&power| 10.0_f64.powi(power) >= error).expect("a power of ten");
    let digits = (exponent - least + 1).clamp(1, 7);
    if digits == 7 {
        seven(x)
    } else if (-5..digits).contains(&exponent) {
        format!("{x:.*}", (digits - 1 - exponent) as usize)
    } else {
        format!("{x:.*e}", (digits - 1) as usize)
    }
}

fn p_value(p: f64) -> String {
    if p < 1e-4 { format!("{p:.1e}") } else { format!("{p:.4}") }
}

/// A sum of weights.
fn weight(w: f64) -> String {
    if w.fract() == 0.0 { format!("{w:.0}") } else { seven(w) }
}

/// A number that may not exist, as JSON has it; a dash where it does not.
fn shown(value: &Value, show: impl Fn(f64) -> String) -> String {
    value.as_f64().map_or_else(|| "-".into(), show)
}

fn four(value: &Value) -> String {
    shown(value, |x| format!("{x:.4}"))
}

fn six(value: &Value) -> String {
    shown(value, |x| format!("{x:.6}"))
}

fn many(n: u64, noun: &str) -> String {
    let ending = match (n, noun) {
        (1, _) => "",
        (_, "pass") => "es",
        _ => "s",
    };
    format!("{n} {noun}{ending}")
}

/// How many words of a text are numbers.
fn numbers(text: &str) -> usize {
    let words = text.split(|c: char| c.is_whitespace() || "(),:".contains(c));
    words.filter(|word| word.contains(|c: char| c.is_ascii_digit()) && word.parse::<f64>().is_ok()).count()
}

fn text<'v>(document: &'v Value, path: &str) -> &'v str {
    document.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("no text {path} in {document:#}"))
}

fn whole(document: &Value, path: &str) -> u64 {
    document.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no count {path} in {document:#}"))
}

fn list<'v>(document: &'v Value, path: &str) -> &'v [Value] {
    document.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn classes(model: &Value) -> Vec<String> {
    list(model, "/label/classes").iter().map(|class| class.to_string().replace('"', "")).collect()
}

// ---- tables ---------------------------------------------------------------------------------------------------

/// The lines of a table by their names: cells are right-aligned under the names of their columns.
struct Table {
    rows: Vec<(String, Vec<String>)>,
    /// What stands behind the last column of each line.
    rest: Vec<String>,
}

impl Table {
    /// Reads `lines`, of which the first has exactly the names of `columns`, each over cells of `width` characters.
    fn read(lines: &[&str], columns: &[&str], width: usize) -> Self {
        let characters: Vec<Vec<char>> = lines.iter().map(|line| line.chars().collect()).collect();
        let piece = |line: usize, from: usize, to: usize| -> String {
            let line = &characters[line];
            line[from.min(line.len())..to.min(line.len())].iter().collect::<String>()
        };
        let end_of_first = (width..=characters[0].len())
            .find(|&end| {
                let ends = (0..columns.len()).map(|k| end + k * (width + 1));
                ends.zip(columns).all(|(end, name)| piece(0, end - width, end).trim_start() == *name)
            })
            .unwrap_or_else(|| panic!("no columns {columns:?} of {width} in {:?}", lines[0]));
        let ends: Vec<usize> = (0..columns.len()).map(|k| end_of_first + k * (width + 1)).collect();
        let row = |line: usize| {
            let cells = ends.iter().map(|end| piece(line, end - width, *end).trim().to_owned());
            (piece(line, 0, end_of_first - width).trim().to_owned(), cells.collect())
        };
        let rest = (0..lines.len()).map(|line| piece(line, ends[ends.len() - 1], usize::MAX));
        Self { rows: (1..lines.len()).map(row).collect(), rest: rest.collect() }
    }

    /// Compares all cells with `expected` of each line's name and each column; gives how many hold a number.
    fn check(&self, what: &str, columns: &[&str], expected: impl Fn(&str, &str) -> String) -> usize {
        let mut compared = 0;
        for (name, cells) in &self.rows {
            for (cell, column) in cells.iter().zip(columns) {
                assert_eq!(*cell, expected(name, column), "{what}: {name}, {column}");
                compared += numbers(cell);
            }
        }
        compared
    }

    fn names(&self) -> Vec<&str> {
        self.rows.iter().map(|(name, _)| name.as_str()).collect()
    }
}

// ---- a model --------------------------------------------------------------------------------------------------

/// The lines before the coefficients, from the JSON.
fn head(model: &Value) -> Vec<(&'static str, String)> {
    let training = &model["training"];
    let classes = classes(model);
    let several = model.get("intercepts").is_some();
    let mut lines = Vec::new();
    let column = text(model, "/label/column");
    lines.push((
        "model",
        if several {
            format!("softmax over the {} classes of {column}", classes.len())
        } else {
            format!("log odds of {column} = {}", model["label"]["positive"])
        },
    ));
    let rows = many(whole(training, "/rows"), "row");
    let counts =
        if several { format!("{} classes", classes.len()) } else { format!("{} positive", training["positives"]) };
    let features = many(list(model, "/features").len() as u64, "feature");
    let categories = list(model, "/categories")
        .iter()
        .map(|category| format!(" (1 category of {} levels)", list(category, "/levels").len()));
    let data = format!("{rows}, {counts}, {features}{}", categories.collect::<String>());
    lines.push(("data", data));
    if several {
        let each = |values: &[Value], show: &dyn Fn(&Value) -> String| -> String {
            assert_eq!(values.len(), classes.len());
            let each: Vec<String> =
                values.iter().zip(&classes).map(|(value, class)| format!("{} {class}", show(value))).collect();
            each.join(", ")
        };
        lines.push(("classes", each(list(training, "/class_rows"), &Value::to_string)));
        let against = format!("against {}, whose coefficients are 0", classes[0]);
        let centred = "centred: each coefficient adds up to 0 over the classes".to_owned();
        lines.push(("margins", if training["identification"] == "centred" { centred } else { against }));
        if let Some(priors) = model.pointer("/generative/priors") {
            lines.push(("priors", each(priors.as_array().expect("a list"), &four)));
        }
    }
    if let Some(sum) = training.get("weights") {
        let of_column = training.get("weight").map(|column| {
            let kind = if training.get("weight_kind").is_some() { "sampling weights" } else { "counts of rows" };
            format!("`{}` as {kind}", column.as_str().expect("a name"))
        });
        let of_classes = training.get("class_weight").map(|factors| {
            let pairs = factors.as_array().expect("a list").iter().zip(&classes);
            let each: Vec<String> =
                pairs.map(|(factor, class)| format!("{} {class}", seven(factor.as_f64().expect("a factor")))).collect();
            format!("factors of the classes {}", each.join(", "))
        });
        let parts: Vec<String> = of_column.into_iter().chain(of_classes).collect();
        lines.push(("weights", format!("{}; sum {}", parts.join(", "), weight(sum.as_f64().expect("a sum")))));
    }
    if let Some(offset) = model.get("offset") {
        lines.push(("offset", format!("`{}` adds to the log odds as it is", offset.as_str().expect("a name"))));
    }
    if let [column] = list(training, "/left_out") {
        let column = column.as_str().expect("a name");
        lines.push(("left out", format!("{column}: text with too many levels, so that no coefficient allows for it")));
    }
    lines.push(("device", text(training, "/device").into()));
    let passes = many(whole(training, "/passes/data"), "pass");
    lines.push((
        "status",
        format!(
            "{} after {}: {passes} over the data ({} for the Hessian), {}",
            text(training, "/status"),
            many(whole(training, "/iterations"), "iteration"),
            training["passes"]["hessian"],
            many(whole(training, "/passes/line"), "probe"),
        ),
    ));
    let l2 = number(training, "/l2");
    let unit = if l2 > 0.0 { "penalised standard errors" } else { "standard errors" };
    let floor = number(training, "/delta_floor");
    lines.push((
        "distance",
        match training["delta"].as_f64() {
            None if model.get("generative").is_some() => {
                "closed form: the likelihood of features and label together has its maximum here".into()
            }
            None => format!("gradient {:.1e}", number(training, "/gradient_norm")),
            Some(delta) if training["delta_is_approximate"] == true => {
                format!("about {delta:.1e} {unit} to the optimum (by an approximate Hessian)")
            }
            Some(delta) if floor > 0.0 => {
                format!("{delta:.1e} {unit} to the optimum (this device resolves {floor:.1e})")
            }
            Some(delta) => format!("{delta:.1e} {unit} to the optimum"),
        },
    ));
    lines.push(("loss", format!("{} (mean cross-entropy)", seven(number(training, "/loss")))));
    if let Some(verified) = training.get("verified") {
        let passes = many(whole(verified, "/passes"), "pass");
        let gradient = number(verified, "/gradient_norm");
        let name = if verified["refined"] == true { "refined" } else { "verified" };
        lines.push((name, format!("on the file in double precision, {passes}; gradient {gradient:.1e}")));
    }
    if let Some(validation) = training.get("validation") {
        let weighed =
            training.get("weight").map_or_else(String::new, |_| format!(" weighed by `{}`", text(training, "/weight")));
        lines.push((
            "validation",
            format!(
                "{}{weighed} ({}): loss {}, {} {}, accuracy {:.4}",
                many(whole(validation, "/rows"), "row"),
                text(validation, "/rows_from"),
                seven(number(validation, "/log_loss")),
                if several { "macro AUC" } else { "AUC" },
                six(&validation["auc"]),
                number(validation, "/accuracy"),
            ),
        ));
    }
    if l2 > 0.0 {
        lines.push(("penalty", format!("l2 = {l2} on {} weights", text(training, "/penalty_scale"))));
    }
    let [read, solve, total] = ["read", "solve", "total"].map(|name| number(&training["seconds"], &format!("/{name}")));
    lines.push(("seconds", format!("{read:.3} read, {solve:.3} solve, {total:.3} in all")));
    if training.get("inference").is_some() {
        lines.push((
            "likelihood",
            format!(
                "log {}, deviance {} (null {}), AIC {}, McFadden R2 {}{}",
                shown(&training["log_likelihood"], seven),
                shown(&training["residual_deviance"], seven),
                shown(&training["null_deviance"], seven),
                shown(&training["aic"], seven),
                four(&training["mcfadden_r2"]),
                training
                    .get("likelihood_kind")
                    .map_or_else(String::new, |_| { format!(" ({})", text(training, "/likelihood_kind")) }),
            ),
        ));
        let percent = 100.0 * number(training, "/inference/confidence");
        lines.push(("errors", format!("{}, limits at {percent} %", text(training, "/inference/kind"))));
    }
    lines
}

const INFERRED: [&str; 6] = ["coefficient", "std. error", "z", "p", "low", "high"];
const PLACED: [&str; 3] = ["coefficient", "mean", "scale"];

/// What the JSON has of the line `name`: its coefficient in a class, what is inferred of it, and its feature.
fn entry<'v>(model: &'v Value, name: &str, class: Option<usize>) -> (&'v Value, Option<&'v Value>, Option<&'v Value>) {
    let feature = list(model, "/features").iter().find(|feature| feature["name"] == name);
    match (feature, class) {
        (None, None) => (&model["intercept"], model.get("intercept_inference"), None),
        (None, Some(class)) => {
            (&model["intercepts"][class], model.pointer(&format!("/intercepts_inference/{class}")), None)
        }
        (Some(feature), None) => {
            (&feature["coefficient"], feature.get("standard_error").map(|_| feature), Some(feature))
        }
        (Some(feature), Some(class)) => {
            (&feature["coefficients"][class], feature.pointer(&format!("/inference/{class}")), Some(feature))
        }
    }
}

/// Whether a line is that of the level that the others of its category are compared with.
fn is_reference(model: &Value, name: &str) -> bool {
    list(model, "/categories").iter().any(|category| reference(category) == name)
}

fn reference(category: &Value) -> String {
    format!("{}={}", text(category, "/column"), text(category, "/levels/0"))
}

/// What a cell of the table of coefficients must show.
fn cell(model: &Value, class: Option<usize>, name: &str, column: &str) -> String {
    if is_reference(model, name) {
        return if column == "coefficient" { "reference".into() } else { String::new() };
    }
    let (coefficient, inference, feature) = entry(model, name, class);
    let of =
        |document: Option<&Value>, field: &str| document.map_or(f64::NAN, |found| number(found, &format!("/{field}")));
    // How far the coefficients may be off, in standard errors, and these, as a share of themselves.
    let optional = |path: &str| model.pointer(path).and_then(Value::as_f64).unwrap_or(0.0);
    let distance = optional("/training/delta") + optional("/training/delta_floor");
    let relative = optional("/training/inference/relative_error");
    match column {
        "coefficient" => match inference {
            Some(inference) => {
                held(coefficient.as_f64().expect("a coefficient"), distance * of(Some(inference), "standard_error"))
            }
            None => seven(coefficient.as_f64().expect("a coefficient")),
        },
        "std. error" => held(of(inference, "standard_error"), relative * of(inference, "standard_error")),
        "z" => {
            let z = of(inference, "z");
            format!(
                "{z:.*}",
                (0..3).find(|&digits| relative * z.abs() + distance > 0.1_f64.powi(digits + 1)).unwrap_or(3) as usize
            )
        }
        "p" => p_value(of(inference, "p")),
        "low" | "high" => {
            // Half of the interval is the quantile times the standard error.
            let half = 0.5 * (of(inference, "high") - of(inference, "low"));
            held(of(inference, column), distance * of(inference, "standard_error") + relative * half)
        }
        // The intercept has no place.
        _ => feature.map_or_else(String::new, |feature| seven(of(Some(feature), column))),
    }
}

/// The names of the lines of a table of coefficients.
fn names(model: &Value) -> Vec<String> {
    let mut names = vec!["intercept".to_owned()];
    let mut categories = list(model, "/categories").iter();
    for feature in list(model, "/features") {
        let is_first_level = feature["kind"] == "level" && !names.iter().any(|name| name.contains('='));
        if is_first_level {
            let category = categories.next().expect("a category");
            names.push(reference(category));
        }
        names.push(text(feature, "/name").to_owned());
    }
    names
}

/// The bars behind a table: in halves of a character, to the side of their sign, beside the longest.
fn check_bars(model: &Value, table: &Table) -> usize {
    let effect = |name: &str| match entry(model, name, None) {
        (coefficient, _, Some(feature)) => Some(coefficient.as_f64().expect("a number") * number(feature, "/scale")),
        _ => None,
    };
    let longest = table.names().iter().filter_map(|name| effect(name)).fold(0.0, |most: f64, x| most.max(x.abs()));
    let mut compared = 0;
    for (name, bar) in table.names().iter().zip(&table.rest[1..]) {
        let Some(effect) = effect(name) else {
            assert_eq!(bar.trim(), "", "{name}");
            continue;
        };
        let (left, right) = bar.split_once('│').unwrap_or_else(|| panic!("{name}: no axis in {bar:?}"));
        let halves = |side: &str| side.matches('█').count() * 2 + side.matches(['▐', '▌']).count();
        let length = (24.0 * effect.abs() / longest).round() as usize;
        let expected = if effect < 0.0 { [length, 0] } else { [0, length] };
        assert_eq!([halves(left), halves(right)], expected, "{name}");
        compared += 1;
    }
    compared
}

/// Compares what `train` or `inspect` printed with the model; gives how many numbers were compared.
fn check_model(printed: &str, model: &Value) -> usize {
    let (found, coefficients) = printed.split_once("\n\n").expect("a blank line before the coefficients");
    let expected: Vec<String> = head(model).into_iter().map(|(name, value)| format!("{name:<10} {value}")).collect();
    assert_eq!(found, expected.join("\n"));
    let lines: Vec<&str> = coefficients.lines().collect();
    let inferred = model["training"].get("inference").is_some();
    let columns: &[&str] = if inferred { &INFERRED } else { &PLACED };
    let mut compared = numbers(found);
    let several = model.get("intercepts").is_some();
    if !several {
        let table = Table::read(&lines, columns, 14);
        assert_eq!(table.names(), names(model));
        compared += table.check("coefficients", columns, |name, column| cell(model, None, name, column));
        if !inferred {
            assert!(check_bars(model, &table) >= 2);
        }
        return compared;
    }
    let classes = classes(model);
    let first = usize::from(model["training"]["identification"] != "centred");
    if !inferred {
        let columns: Vec<&str> = classes[first..].iter().map(String::as_str).collect();
        let lines: Vec<&str> = lines.iter().copied().take_while(|line| !line.is_empty()).collect();
        let table = Table::read(&lines, &columns, 14);
        assert_eq!(table.names(), names(model));
        return compared
            + table.check("coefficients", &columns, |name, column| {
                let class = classes.iter().position(|class| class == column).expect("a class");
                // The word for a reference stands under the first class alone.
                if is_reference(model, name) && class > first {
                    return String::new();
                }
                cell(model, Some(class), name, "coefficient")
            });
    }
    let blocks: Vec<&[&str]> = lines.split(|line| line.is_empty()).collect();
    assert_eq!(blocks.len(), classes.len() - first);
    for (block, class) in blocks.iter().zip(first..) {
        assert_eq!(block[0], classes[class]);
        let table = Table::read(&block[1..], columns, 14);
        assert_eq!(table.names(), names(model));
        compared += table.check(&classes[class], columns, |name, column| cell(model, Some(class), name, column));
    }
    compared
}

/// Trains, and compares what was printed; gives the numbers that were compared. The model is left in `model.json`.
fn check_train(place: &Place, flags: &str) -> usize {
    let run = place.done(&format!("train data.parquet {flags} -o model.json --history history.jsonl"));
    assert_eq!(place.files(), ["data.parquet", "history.jsonl", "model.json"]);
    let model = place.json_file("model.json");
    let compared = check_model(&run.stdout, &model);
    // The head of the bars has a number in its name.
    let all = numbers(&run.stdout.replace("effect of 1 std. dev.", ""));
    assert_eq!(compared, all, "{flags}: numbers were overlooked in\n{}", run.stdout);
    // The way down, where there is one: from the first loss of the history to the last.
    let history = String::from_utf8(place.read("history.jsonl")).expect("a text");
    let losses: Vec<f64> =
        history.lines().map(|line| number(&serde_json::from_str(line).expect("JSON"), "/loss")).collect();
    if let [first, .., last] = losses[..] {
        let ends = format!("from {} to {}\n", seven(first), seven(last));
        assert!(run.stderr.contains(&ends), "{flags}: no `{ends}` in {}", run.stderr);
    }
    compared
}

// ---- quality --------------------------------------------------------------------------------------------------

/// Compares what `evaluate` printed of two classes with its JSON.
fn check_metrics(printed: &str, metrics: &Value, sample_weights: Option<&str>) -> usize {
    let blocks: Vec<&str> = printed.trim_end().split("\n\n").collect();
    let [head, calibration, lift] = blocks[..] else { panic!("{} blocks in {printed}", blocks.len()) };
    let confusion = &metrics["confusion"];
    let of = |name: &str| weight(number(confusion, &format!("/{name}")));
    let weighing_line = sample_weights.map_or_else(String::new, |column| {
        format!(", sample_weights {} by `{column}`", weight(number(metrics, "/weights")))
    });
    let bounded = |name: &str| {
        assert_eq!(number(metrics, &format!("/{name}/error_bound")).to_bits(), 0);
        six(&metrics[name]["value"])
    };
    let expected = [
        ("rows", format!("{}{weighing_line}, {} positive", metrics["rows"], four(&metrics["prevalence"]))),
        ("log loss", format!("{} (prevalence alone: {})", six(&metrics["log_loss"]), six(&metrics["base_log_loss"]))),
        ("skill", four(&metrics["skill"])),
        ("AUC", bounded("auc")),
        ("average precision", bounded("average_precision")),
        ("Brier score", six(&metrics["brier"])),
        ("accuracy", four(&metrics["accuracy"])),
        (
            "confusion",
            format!(
                "at {}: {} true and {} false positives, {} true and {} false negatives",
                confusion["threshold"],
                of("true_positives"),
                of("false_positives"),
                of("true_negatives"),
                of("false_negatives")
            ),
        ),
        (
            "",
            format!(
                "precision {}, recall {}, specificity {}, F1 {}",
                four(&confusion["precision"]),
                four(&confusion["recall"]),
                four(&confusion["specificity"]),
                four(&confusion["f1"])
            ),
        ),
        ("calibration error", four(&metrics["calibration"]["expected_error"])),
    ];
    let expected: Vec<String> = expected.iter().map(|(name, value)| format!("{name:<18} {value}")).collect();
    assert_eq!(head, expected.join("\n"));
    let mut compared = numbers(head);

    let counted = if sample_weights.is_some() { "weight" } else { "rows" };
    let columns = [counted, "predicted", "observed"];
    let table = Table::read(&calibration.lines().collect::<Vec<_>>(), &columns, 10);
    let bins = list(metrics, "/calibration/bins");
    let range = |bin: &Value| format!("{:.1} - {:.1}", number(bin, "/low"), number(bin, "/high"));
    assert_eq!(table.names(), bins.iter().map(range).collect::<Vec<_>>());
    compared += table.names().iter().map(|name| numbers(name)).sum::<usize>();
    compared += table.check("calibration", &columns, |name, column| {
        let bin = bins.iter().find(|bin| range(bin) == name).expect("a bin");
        if column == counted { weight(number(bin, "/weight")) } else { four(&bin[column]) }
    });

    let columns = ["observed", "lift", "gain"];
    let table = Table::read(&lift.lines().collect::<Vec<_>>(), &columns, 10);
    let rows = list(metrics, "/lift");
    let deciles: Vec<String> = rows.iter().map(|row| row["decile"].to_string()).collect();
    assert_eq!(table.names(), deciles);
    compared += rows.len();
    compared
        + table.check("lift", &columns, |name, column| {
            let row = &rows[deciles.iter().position(|decile| decile == name).expect("a decile")];
            match column {
                "observed" => format!("{:.4}", number(row, "/rate")),
                "lift" => format!("{:.3}", number(row, "/lift")),
                _ => format!("{:.4}", number(row, "/gain/value")),
            }
        })
}

/// Compares what `evaluate` printed of several classes with its JSON.
fn check_class_metrics(printed: &str, document: &Value, sample_weights: Option<&str>) -> usize {
    let metrics = &document["metrics"];
    let blocks: Vec<&str> = printed.trim_end().split("\n\n").collect();
    let [head, each, confusion] = blocks[..] else { panic!("{} blocks in {printed}", blocks.len()) };
    let names: Vec<&str> = list(document, "/classes").iter().map(|class| class.as_str().expect("a text")).collect();
    let weighing_line = sample_weights.map_or_else(String::new, |column| {
        format!(", sample_weights {} by `{column}`", weight(number(metrics, "/weights")))
    });
    let expected = [
        ("rows", format!("{}{weighing_line}, {} classes", metrics["rows"], names.len())),
        ("log loss", format!("{} (prevalence alone: {})", six(&metrics["log_loss"]), six(&metrics["base_log_loss"]))),
        ("skill", four(&metrics["skill"])),
        ("macro AUC", six(&metrics["macro_auc"]["value"])),
        ("macro avg. prec.", six(&metrics["macro_average_precision"]["value"])),
        ("Brier score", format!("{} (of 2)", six(&metrics["brier"]))),
        ("accuracy", four(&metrics["accuracy"])),
    ];
    let expected: Vec<String> = expected.iter().map(|(name, value)| format!("{name:<18} {value}")).collect();
    assert_eq!(head, expected.join("\n"));
    let mut compared = numbers(head);

    let counted = if sample_weights.is_some() { "weight" } else { "rows" };
    let columns = [counted, "prevalence", "AUC", "avg. prec.", "calibration"];
    let table = Table::read(&each.lines().collect::<Vec<_>>(), &columns, 11);
    assert_eq!(table.names(), names);
    let place = |name: &str| names.iter().position(|class| *class == name).expect("a class");
    compared += table.check("classes", &columns, |name, column| {
        let class = &metrics["classes"][place(name)];
        match column {
            "prevalence" => four(&class["prevalence"]),
            "AUC" => four(&class["auc"]["value"]),
            "avg. prec." => four(&class["average_precision"]["value"]),
            "calibration" => four(&class["calibration"]["expected_error"]),
            _ => weight(number(class, "/weight")),
        }
    });

    let lines: Vec<&str> = confusion.lines().collect();
    let entry =
        |row: usize, column: usize| weight(metrics["confusion"][row][column].as_f64().expect("a count or a weight"));
    let cells = (0..names.len()).flat_map(|row| (0..names.len()).map(move |column| entry(row, column).len()));
    let width = cells.chain(names.iter().map(|name| name.len())).fold(5, usize::max);
    let table = Table::read(&lines, &names, width);
    assert_eq!(table.names(), names);
    compared + table.check("confusion", &names, |name, column| entry(place(name), place(column)))
}

/// Evaluates `model.json` on `data.parquet`, and compares what was printed; gives the numbers that were compared.
fn check_evaluate(place: &Place, flags: &str, sample_weights: Option<&str>) -> usize {
    let weighing_flag = sample_weights.map_or_else(String::new, |column| format!("--weight {column}"));
    let arguments = format!("evaluate -m model.json data.parquet {flags} {weighing_flag}");
    let run = place.done(&arguments);
    let document = place.done(&format!("{arguments} --json")).json();
    let compared = if document.get("classes").is_some() {
        check_class_metrics(&run.stdout, &document, sample_weights)
    } else {
        check_metrics(&run.stdout, &document["metrics"], sample_weights)
    };
    // `F1`, `(of 2)` and names of bins are counted with the rest.
    assert_eq!(compared, numbers(&run.stdout), "{flags}: numbers were overlooked in\n{}", run.stdout);
    compared
}

// ---- checks ---------------------------------------------------------------------------------------------------

const TWO: &str = "--label y --device cpu --features x,u,city";
const SEVERAL: &str = "--label kind --device cpu --features x,u,city";

#[test]
fn a_model_of_two_classes_is_printed_as_it_is() {
    let place = place();
    // Five lines; of each six numbers or three, the reference of the city and the intercept's place aside.
    for (flags, least) in [
        ("", 5 + 8 + 15),
        ("--split 0.25 --l2 0.01 --verify --weight half --class-weight balanced", 5 + 8 + 22),
        ("--inference", 30 + 21),
        ("--robust --weight w --confidence 0.9 --split 0.25 --refine", 30 + 26),
        ("--inference --offset o", 30 + 18),
        ("--inference --weight half --weight-kind sampling", 30 + 21),
        ("--inference --weight w --class-weight balanced", 30 + 24),
        ("--gradient-tolerance 1e-4", 5 + 8 + 15),
        ("--solver lbfgs --preconditioner subsample --max-iterations 2", 5 + 8 + 15),
    ] {
        let compared = check_train(&place, &format!("{TWO} {flags}"));
        assert!(compared >= least, "{flags}: {compared} numbers");
    }
}

#[test]
fn a_model_of_several_classes_is_printed_as_it_is() {
    let place = place();
    for (flags, least) in [
        ("", 10 + 15),
        ("--l2 0.01 --split 0.25 --verify --weight w", 15 + 22),
        ("--inference", 2 * 30 + 21),
        ("--robust --l2 0.01 --weight half --confidence 0.8", 3 * 30 + 21),
        ("--solver generative", 10 + 14),
    ] {
        let compared = check_train(&place, &format!("{SEVERAL} {flags}"));
        assert!(compared >= least, "{flags}: {compared} numbers");
    }
    // The last of them has means too, which `inspect` prints.
    let printed = place.done("inspect model.json").stdout;
    let model = place.json_file("model.json");
    let (_, means) = printed.split_once("mean in").expect("means");
    let lines: Vec<String> = format!("mean in{means}").lines().map(str::to_owned).collect();
    let classes = classes(&model);
    let columns: Vec<&str> = classes.iter().map(String::as_str).collect();
    let table = Table::read(&lines.iter().map(String::as_str).collect::<Vec<_>>(), &columns, 14);
    let features = list(&model, "/features");
    let compared = table.check("means", &columns, |name, column| {
        let feature = features.iter().position(|feature| feature["name"] == name).expect("a feature");
        let class = classes.iter().position(|class| class == column).expect("a class");
        seven(model["generative"]["means"][class][feature].as_f64().expect("a mean"))
    });
    assert_eq!(compared, 12);
}

#[test]
fn a_model_of_a_gpu_is_printed_as_it_is() {
    if !has_adapter() {
        return;
    }
    let place = place();
    for (label, least) in [("y", 30 + 21), ("kind", 60 + 21)] {
        let flags = format!("--label {label} --device gpu --features x,u,city --inference");
        let compared = check_train(&place, &flags);
        assert!(compared >= least, "{flags}: {compared} numbers");
    }
}

#[test]
fn inspect_prints_the_model_as_it_is() {
    let place = place();
    place.done(&format!("train data.parquet {TWO} --inference -o model.json"));
    let printed = place.done("inspect model.json").stdout;
    let from = printed.find("model  ").expect("the table of `train`");
    assert!(check_model(&printed[from..], &place.json_file("model.json")) >= 30 + 21);
}

#[test]
fn quality_is_printed_as_it_is() {
    let place = place();
    place.done(&format!("train data.parquet {TWO} -o model.json"));
    for (flags, sample_weights) in [("", None), ("--threshold 0.3", Some("w")), ("", Some("half"))] {
        let compared = check_evaluate(&place, flags, sample_weights);
        assert!(compared >= 18 + 50 + 40, "{flags}: {compared} numbers");
    }
    place.done(&format!("train data.parquet {SEVERAL} -o model.json"));
    for sample_weights in [None, Some("w"), Some("half")] {
        let compared = check_evaluate(&place, "", sample_weights);
        assert!(compared >= 9 + 15 + 9, "{compared} numbers");
    }
}
