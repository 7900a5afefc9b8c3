//! The page of `--report`: its numbers are those of the JSON, what comes from the data is text, and it needs nothing but
//! itself.

mod common {
    pub(crate) mod data;
    pub(crate) mod examples;
    pub(crate) mod files;
    pub(crate) mod process;
    pub(crate) mod random;
    pub(crate) mod says;
}

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, StringArray};
use serde_json::Value;

use common::process::{Place, number};
use common::random::Random;
use common::says::assert_says;

impl Place {
    fn page(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("the page is UTF-8")
    }
}

/// A number of a page: where the JSON has it, its value, and the text that is seen.
#[derive(Clone, Debug)]
struct Figure {
    place: String,
    value: f64,
    text: String,
}

fn figures(page: &str) -> Vec<Figure> {
    let parse = |rest: &str| {
        let (value, rest) = rest.split_once("\" data-place=\"")?;
        let (place, rest) = rest.split_once("\">")?;
        let (text, _) = rest.split_once("</data>")?;
        Some(Figure { place: place.into(), value: value.parse().ok()?, text: text.into() })
    };
    page.split("<data value=\"").skip(1).map(|rest| parse(rest).unwrap_or_else(|| panic!("{rest:.100}"))).collect()
}

/// The number that a reader sees, and half a unit of its last place.
fn seen(text: &str) -> (f64, f64) {
    let plain: String = text
        .replace("×10", "e")
        .chars()
        .filter(|c| *c != ',')
        .map(|c| match c {
            '−' | '⁻' => '-',
            _ => "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|digit| digit == c).map_or(c, |digit| (b'0' + digit as u8) as char),
        })
        .collect();
    let (mantissa, exponent) = plain.split_once('e').unwrap_or((&plain, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len() as i32);
    let exponent: i32 = exponent.parse().unwrap_or_else(|_| panic!("{text}"));
    let value = plain.parse().unwrap_or_else(|_| panic!("{text} is no number"));
    (value, 0.5 * 10_f64.powi(exponent - decimals))
}

/// Compares the numbers of a page with the documents that have them; gives how many there were.
fn check_figures(page: &str, model: &Value, quality: Option<&Value>) -> Result<usize, String> {
    let mut found = figures(page);
    // Those of the history are another check's.
    found.retain(|figure| !figure.place.starts_with("history/"));
    for Figure { place, value, text } in &found {
        let (document, pointer) = place.split_once('/').ok_or_else(|| format!("{place} is no place"))?;
        let pointer = format!("/{pointer}");
        let number = |document: &Value, pointer: &str| match document.pointer(pointer) {
            None => Err(format!("{place}: nothing there")),
            Some(Value::Null) => Ok(f64::NAN),
            Some(number) => number.as_f64().ok_or_else(|| format!("{place}: {number}")),
        };
        let expected = match document {
            "model" => number(model, &pointer)?,
            "effect" => {
                let of = |feature: &str, part: &str| number(model, &format!("/features{feature}/{part}"));
                // Of several classes the class comes behind the feature.
                match pointer[1..].split_once('/') {
                    None => of(&pointer, "coefficient")? * of(&pointer, "scale")?,
                    Some((feature, class)) => {
                        let feature = format!("/{feature}");
                        of(&feature, &format!("coefficients/{class}"))? * of(&feature, "scale")?
                    }
                }
            }
            "quality" => number(quality.ok_or("a page with metrics")?, &pointer)?,
            _ => return Err(format!("{place} is of no document")),
        };
        if value.to_bits() != expected.to_bits() && !(value.is_nan() && expected.is_nan()) {
            return Err(format!("{place}: {value:?} instead of {expected:?}"));
        }
        if value.is_finite() {
            let (shown, half) = seen(text);
            let is_near = (shown - value).abs() <= half * (1.0 + 1e-9);
            if !is_near {
                return Err(format!("{place}: {text} for {value}"));
            }
        } else if !["–", "∞", "−∞"].contains(&text.as_str()) {
            return Err(format!("{place}: {text} for {value}"));
        }
    }
    Ok(found.len())
}

/// A page needs nothing but itself, and has no markup but its own.
fn check_alone(page: &str) -> Result<(), String> {
    for forbidden in ["http", "<script", "<img", "<link", "<iframe", "@import", "url("] {
        if let Some(at) = page.to_lowercase().find(forbidden) {
            return Err(format!("{forbidden}: {}", page[at..].chars().take(80).collect::<String>()));
        }
    }
    // Every element is closed, in its order.
    let mut open: Vec<&str> = Vec::new();
    let mut elements = 0;
    let mut rest = page;
    while let Some((_, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').ok_or("a tag without end")?;
        rest = after;
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        // Attributes by their names; values are in quotes, and quotes in them are escaped.
        for attribute in tag.split('"').step_by(2).flat_map(str::split_whitespace).skip(1) {
            let attribute = attribute.trim_end_matches('=');
            if attribute.starts_with("on") || ["src", "href", "srcdoc", "action", "xlink:href"].contains(&attribute) {
                return Err(format!("an attribute {attribute} in <{tag}>"));
            }
        }
        if let Some(name) = name.strip_prefix('/') {
            let last = open.pop();
            if last != Some(name) {
                return Err(format!("</{name}> closes {last:?}"));
            }
        } else if !["!DOCTYPE", "meta", "br"].contains(&name) {
            open.push(name);
            elements += 1;
        }
    }
    if !open.is_empty() || elements < 50 {
        return Err(format!("{elements} elements, {open:?} are open"));
    }
    Ok(())
}

#[track_caller]
fn assert_alone(page: &str) {
    check_alone(page).unwrap_or_else(|error| panic!("{error}"));
}

const WEATHER: &str = "train weather.parquet --label rain --features temp_max,temp_min,wind --device cpu";

/// Times differ from run to run, so the page is compared with the model of its own run.
fn weather(flags: &str) -> (Place, Value, String) {
    let place = Place::with_example("weather.parquet");
    place.done(&format!("{WEATHER} {flags} -o model.json --report page.html"));
    let (model, page) = (place.json_file("model.json"), place.page("page.html"));
    (place, model, page)
}

#[test]
fn numbers_of_the_model_are_those_of_its_json() {
    for (flags, least) in [("--valid weather.parquet", 15), ("--valid weather.parquet --inference --l2 0.01", 35)] {
        let (place, model, page) = weather(flags);
        let evaluated = place.done("evaluate -m model.json weather.parquet --json").json();
        let metrics = &evaluated["metrics"];
        let count = check_figures(&page, &model, Some(metrics)).unwrap_or_else(|error| panic!("{flags}: {error}"));
        assert!(count >= least, "{flags}: {count} numbers");
        let places: Vec<String> = figures(&page).into_iter().map(|figure| figure.place).collect();
        for index in 0..3 {
            assert!(places.contains(&format!("model/features/{index}/coefficient")), "{places:?}");
            assert!(places.contains(&format!("effect/{index}")), "{places:?}");
        }
        // The check would notice another number, another text, and a place that is not there.
        let mut wrong = model.clone();
        wrong["features"][1]["coefficient"] = (number(&model, "/features/1/coefficient") * (1.0 + 1e-15)).into();
        assert!(check_figures(&page, &wrong, Some(metrics)).is_err());
        let coefficient = figures(&page).into_iter().find(|figure| figure.place == "effect/2").expect("it is there");
        let other = page.replace(&format!("\"effect/2\">{}<", coefficient.text), "\"effect/2\">0.509<");
        assert!(other != page && check_figures(&other, &model, Some(metrics)).is_err());
        let nowhere = page.replace("model/features/2/", "model/features/3/");
        assert!(check_figures(&nowhere, &model, Some(metrics)).is_err());
    }
}

/// A picture says what the numbers say: marks of the forest lie on a line over the effects.
#[test]
fn marks_lie_where_their_numbers_are() {
    let (_, _, page) = weather("--inference");
    let forest =
        page.split_once("<table class=\"forest\">").expect("there is one").1.split_once("</table>").expect("an end").0;
    let marks: Vec<(f64, f64)> = forest
        .split("<circle")
        .skip(1)
        .map(|mark| {
            let at = mark.split_once("cx=\"").and_then(|(_, rest)| rest.split_once('%')).expect("a place").0;
            (figures(mark)[0].value, at.parse().expect("a number"))
        })
        .collect();
    assert_eq!(marks.len(), 3);
    let slope = (marks[1].1 - marks[0].1) / (marks[1].0 - marks[0].0);
    let expected = marks[0].1 + slope * (marks[2].0 - marks[0].0);
    assert!(slope > 0.0 && (marks[2].1 - expected).abs() <= 0.03, "{marks:?}");
}

/// Intervals too: each line goes from the lower limit to the upper one, times the standard deviation, on the scale of the
/// marks.
#[test]
fn intervals_lie_where_their_limits_are() {
    let (_, model, page) = weather("--inference --confidence 0.9");
    let forest = between(&page, "<table class=\"forest\">", "</table>");
    let percent = |text: &str, name: &str| -> f64 {
        let at = text.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split_once('%')).expect("a place").0;
        at.parse().expect("a number")
    };
    let rows: Vec<(f64, f64, [f64; 2], [f64; 2])> = forest
        .split("<tr")
        .filter(|row| row.contains("<circle"))
        .map(|row| {
            let mark = row.split_once("<circle").expect("a mark").1;
            let figure = &figures(mark)[0];
            let index: usize =
                figure.place.strip_prefix("effect/").and_then(|index| index.parse().ok()).expect("a feature");
            let feature = &model["features"][index];
            let limits = ["/low", "/high"].map(|limit| number(feature, limit) * number(feature, "/scale"));
            let line = row.split_once("class=\"range").expect("a line").1;
            (figure.value, percent(mark, "cx"), limits, ["x1", "x2"].map(|end| percent(line, end)))
        })
        .collect();
    assert_eq!(rows.len(), 3);
    let (first, last) = (&rows[0], &rows[2]);
    let place = |x: f64| first.1 + (last.1 - first.1) / (last.0 - first.0) * (x - first.0);
    for (effect, _, limits, ends) in &rows {
        assert!(limits[0] < *effect && *effect < limits[1]);
        for (limit, end) in limits.iter().zip(ends) {
            // Places are rounded to a hundredth of a percent.
            assert!((place(*limit) - end).abs() <= 0.05, "{limit} lies at {end}, not at {}", place(*limit));
        }
    }
}

/// Whether places lie on a line over their numbers, to the tenth of a unit that places are rounded to.
fn assert_on_a_line(what: &str, pairs: &[(f64, f64)]) {
    let by_number = |a: &&(f64, f64), b: &&(f64, f64)| a.0.total_cmp(&b.0);
    let (low, high) = (pairs.iter().min_by(by_number).expect("some"), pairs.iter().max_by(by_number).expect("some"));
    assert!((high.1 - low.1).abs() > 100.0, "{what}: {low:?} to {high:?}");
    for (number, place) in pairs {
        let expected = low.1 + (number - low.0) / (high.0 - low.0) * (high.1 - low.1);
        assert!((place - expected).abs() <= 0.16, "{what}: {number} lies at {place}, not at {expected}");
    }
}

/// Of two columns that are the same an error decides which is selected: both are told as on the edge wherever one is, by the model, on
/// the terminal, on the page and by `inspect`. Without such a column nothing is said of edges, and a list that is too short is refused.
#[test]
fn what_is_on_the_edge_is_told() {
    let mut random = Random(12);
    let rows = 400;
    let [x, z] = [(); 2].map(|()| (0..rows).map(|_| (64.0 * random.symmetric()).round() / 8.0).collect::<Vec<f64>>());
    let labels: BooleanArray = x.iter().map(|x| Some(random.unit() < 1.0 / (1.0 + (-0.3 * x).exp()))).collect();
    let floats = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    let columns = [("x", floats(&x)), ("again", floats(&x)), ("z", floats(&z)), ("y", Arc::new(labels) as ArrayRef)];
    let place = Place::with_data(&columns);
    let flags = "train data.parquet --label y --path 20 --device cpu";
    let run = place.done(&format!("{flags} -o m.json --report r.html"));
    let line = "edge       x, again: what is left to gain, or an error of the sums, decides which of them are selected";
    assert_says(&run.stdout, &[line, "2 on the edge"]);
    assert_says(&place.done("inspect m.json").stdout, &[line, "2 on the edge"]);
    let (mut model, page) = (place.json_file("m.json"), place.page("r.html"));
    assert_eq!(model["training"]["on_edge"], serde_json::json!(["x", "again"]));
    let edges = model["path"]["on_edge"].as_array().expect("a list").clone();
    let selected = model["path"]["columns"].as_array().expect("a list");
    assert_eq!(edges.len(), selected.len());
    let with_edges = edges.iter().filter(|edge| !edge.as_array().expect("a list").is_empty()).count();
    assert!(with_edges == edges.len() - 1, "{edges:?}");
    let table = between(&page, "<h3 class=\"block\">On the edge</h3>", "</table>");
    assert!(table.contains(&format!("<th scope=\"row\">again</th><td>{with_edges}</td>")), "{table}");
    assert!(between(&page, "<dt>On the edge</dt>", "</dd>").contains("x, again: what is left to gain"));
    model["path"]["on_edge"] = serde_json::json!(edges[1..]);
    std::fs::write(place.path("short.json"), model.to_string()).expect("writes");
    assert_says(&place.run("inspect short.json").stderr, &["its path tells what is on the edge at"]);
    let run = place.done(&format!("{flags} --ignore again -o plain.json --report plain.html"));
    let (model, page) = (String::from_utf8(place.read("plain.json")).expect("text"), place.page("plain.html"));
    assert!(!model.contains("on_edge") && !page.contains("On the edge") && !format!("{run:?}").contains("edge"));
}

/// A path is drawn as it is: a line for each feature that is selected somewhere, and the means of the folds with their errors.
#[test]
fn a_path_is_drawn_as_it_is() {
    let place = Place::with_example("breast_cancer.parquet");
    place.done(
        "train breast_cancer.parquet --label malignant --folds 5 --select 1se --device cpu -o m.json --report r.html",
    );
    let (model, page) = (place.json_file("m.json"), place.page("r.html"));
    let path = &model["path"];
    let list =
        |value: &Value| -> Vec<f64> { value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect() };
    let lambdas = list(&path["lambdas"]);
    let coefficients = between(&page, "aria-label=\"Coefficients by the strength of the penalty\"", "</svg>");
    let (mut across, mut up, mut lines) = (Vec::new(), Vec::new(), 0);
    for (index, feature) in model["features"].as_array().expect("a list").iter().enumerate() {
        let of_place = |place: &Value| -> f64 {
            let selected = place.as_array().into_iter().flatten().find(|pair| pair[0] == index);
            selected.map_or(0.0, |pair| pair[1].as_f64().expect("a number"))
        };
        let values: Vec<f64> = path["coefficients"].as_array().expect("a list").iter().map(of_place).collect();
        let title = format!("<title>{}</title>", feature["name"].as_str().expect("a name"));
        assert_eq!(coefficients.contains(&title), values.iter().any(|x| *x != 0.0), "{title}");
        let Some((_, line)) = coefficients.split_once(&title) else { continue };
        let found = points(between(line, "d=\"", "\""));
        assert_eq!(found.len(), values.len());
        let scale = number(feature, "/scale");
        across.extend(lambdas.iter().zip(&found).map(|(lambda, (x, _))| (-lambda.log10(), *x)));
        up.extend(values.iter().zip(&found).map(|(value, (_, y))| (scale * value, *y)));
        lines += 1;
    }
    assert!(lines > 15 && lines == coefficients.matches("<title>").count(), "{lines}");
    assert_on_a_line("strengths", &across);
    assert_on_a_line("effects", &up);
    let folds = between(&page, "aria-label=\"Cross-validation by the strength of the penalty\"", "</svg>");
    let curve = &path["cv"]["curves"][0];
    let found = points(between(folds, "class=\"curve a\" d=\"", "\""));
    let (mean, se) = (list(&curve["mean"]), list(&curve["se"]));
    let mut up: Vec<(f64, f64)> = mean.iter().copied().zip(found.iter().map(|(_, y)| *y)).collect();
    for (place, bar) in folds.split("class=\"c\" d=\"").skip(1).enumerate() {
        let ends = points(bar.split_once('"').expect("an end").0);
        up.extend([(mean[place] - se[place], ends[0].1), (mean[place] + se[place], ends[1].1)]);
    }
    assert_eq!(up.len(), 3 * lambdas.len());
    assert_on_a_line("means and errors", &up);
    let table = between(&page, "Features that folds select", "</table>");
    let mut listed = 0;
    for (index, feature) in model["features"].as_array().expect("a list").iter().enumerate() {
        let at = |key: &str| -> u64 {
            let pair = path["cv"][key].as_array().into_iter().flatten().find(|pair| pair[0] == index);
            pair.map_or(0, |pair| pair[1].as_u64().expect("a count"))
        };
        let [at_1se, at_min] = ["selected_at_1se", "selected_at_min"].map(at);
        let row = format!("{}</th><td>{at_1se}</td><td>{at_min}</td>", feature["name"].as_str().expect("a name"));
        assert_eq!(table.contains(&row), at_1se + at_min > 0, "{row} in {table}");
        listed += usize::from(at_1se + at_min > 0);
    }
    assert!(listed > 5 && listed + 1 == table.matches("<tr>").count(), "{listed}");
    for (name, lambda) in [("min", &path["cv"]["lambda_min"]), ("1se", &path["cv"]["lambda_1se"])] {
        let at = lambdas.iter().position(|own| Some(*own) == lambda.as_f64()).expect("a strength");
        let expected = format!("x=\"{}\"", found[at].0);
        let text = folds.split("<text ").find(|text| text.contains(&format!(">{name}<"))).expect("its name");
        assert!(text.contains(&expected), "{name}: {text}, not {expected}");
    }
}

const HOSTILE: &str = "<script>alert('1')</script>\"><img src=x onerror=alert(1)>&amp;";

/// Rows whose names and levels are markup, or without end.
fn hostile() -> Place {
    let mut random = Random(5);
    let rows = 400;
    let x: Vec<f64> = (0..rows).map(|_| random.unit()).collect();
    let levels: Vec<String> = (0..rows).map(|row| format!("{HOSTILE}{}", row % 5)).collect();
    let label: Vec<&str> = x.iter().map(|x| if random.unit() < *x { "<b>yes" } else { "</style>no" }).collect();
    let long = format!("long{}", "x".repeat(20_000));
    let columns: [(&str, ArrayRef); 4] = [
        (HOSTILE, Arc::new(Float64Array::from(x.clone()))),
        ("level<i>", Arc::new(StringArray::from(levels))),
        (&long, Arc::new(Float64Array::from_iter_values((0..rows).map(|_| random.unit())))),
        ("<u>label", Arc::new(StringArray::from(label))),
    ];
    Place::with_data(&columns)
}

#[test]
fn what_comes_from_the_data_is_text() {
    let place = hostile();
    place.done("train data.parquet --label <u>label --positive <b>yes --device cpu --inference --report page.html -o model.json");
    let page = place.page("page.html");
    assert_alone(&page);
    for raw in ["<script", "<img", "<b>yes", "<u>label", "<i>", "</style>no"] {
        assert!(!page.contains(raw), "{raw}");
    }
    assert_says(
        &page,
        &[
            "&lt;script&gt;alert(",
            "&quot;&gt;&lt;img",
            "&amp;amp;",
            "&lt;b&gt;yes",
            "level&lt;i&gt;",
            "longxxxx",
            "…xxx",
        ],
    );
    assert!(page.len() < 2_000_000, "{}", page.len());
    let evaluated = place.done("evaluate -m model.json data.parquet --json").json();
    check_figures(&page, &place.json_file("model.json"), Some(&evaluated["metrics"]))
        .unwrap_or_else(|error| panic!("{error}"));
    // The check would notice one name that is not escaped.
    let planted = page.replacen("&lt;u&gt;label", "<u>label", 1);
    assert!(planted != page && check_alone(&planted).is_err());
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let (_, _, page) = weather("");
    assert_alone(&page);
    for planted in [
        "<script></script>",
        "<p style=\"background:url(x)\"></p>",
        "<p><b></p></b>",
        "<a href=\"x\"></a>",
        "<p onclick=\"x\"></p>",
        "<p>http</p>",
    ] {
        let planted = page.replacen("<footer>", &format!("{planted}<footer>"), 1);
        assert!(planted != page && check_alone(&planted).is_err());
    }
}

#[test]
fn many_features_make_no_large_page() {
    let mut random = Random(9);
    let rows = 1200;
    let columns: Vec<(String, ArrayRef)> = (0..400)
        .map(|index| {
            let values = (0..rows).map(|_| random.unit()).collect::<Vec<f64>>();
            (format!("a_column_of_some_length_{index}"), Arc::new(Float64Array::from(values)) as ArrayRef)
        })
        .chain([(
            "y".to_owned(),
            Arc::new(BooleanArray::from((0..rows).map(|row| row % 3 == 0).collect::<Vec<bool>>())) as ArrayRef,
        )])
        .collect();
    let columns: Vec<(&str, ArrayRef)> =
        columns.iter().map(|(name, column)| (name.as_str(), Arc::clone(column))).collect();
    let place = Place::with_data(&columns);
    place.done("train data.parquet --label y --device cpu --l2 0.01 --inference --report page.html");
    let page = place.page("page.html");
    assert!((50_000..2_000_000).contains(&page.len()), "{}", page.len());
    assert_says(&page, &["370 more features", "100 more features"]);
}

#[test]
fn a_page_replaces_nothing_that_is_read_or_written() {
    let place = Place::with_example("weather.parquet");
    let before = place.read("weather.parquet");
    for flags in ["--report weather.parquet", "--report ./x.html -o x.html", "--report x --history x"] {
        let run = place.run(&format!("{WEATHER} {flags}"));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{flags}: {run:?}");
        assert_says(&run.stderr, &["same file"]);
        assert_eq!(place.files(), ["weather.parquet"], "{flags}");
    }
    let run = place.run(&format!("{WEATHER} --report nowhere/x.html"));
    assert_eq!(run.code, Some(6), "{run:?}");
    // A run that fails leaves the old page.
    std::fs::write(place.path("x.html"), "old").expect("writes");
    let run = place.run("train weather.parquet --label rain --features wind,nothing --device cpu --report x.html");
    assert!(run.code != Some(0) && place.page("x.html") == "old", "{run:?}");
    place.done(&format!("{WEATHER} --report x.html"));
    assert!(place.page("x.html").starts_with("<!DOCTYPE html>"));
    assert_eq!(place.files(), ["weather.parquet", "x.html"]);
    assert!(place.read("weather.parquet") == before);
}

/// The part of a page between two texts.
fn between<'p>(page: &'p str, from: &str, to: &str) -> &'p str {
    let rest = page.split_once(from).unwrap_or_else(|| panic!("no {from}")).1;
    rest.split_once(to).unwrap_or_else(|| panic!("no {to} after {from}")).0
}

/// The points of a path, in the units of its picture.
fn points(path: &str) -> Vec<(f64, f64)> {
    let numbers = |point: &str| {
        let (x, y) = point.split_once(' ').expect("two numbers");
        (x.parse().expect("a number"), y.parse().expect("a number"))
    };
    path.split(['M', 'L']).filter(|point| !point.is_empty()).map(numbers).collect()
}

/// The area under the curve that is drawn.
fn area(page: &str) -> f64 {
    area_under(between(page, "<h3>ROC curve</h3>", "</svg>"), "curve a", 20)
}

/// The area under one curve of a picture, which has more points than `least`.
fn area_under(picture: &str, class: &str, least: usize) -> f64 {
    let curve = points(between(picture, &format!("class=\"{class}\" d=\""), "\""));
    // The line of chance goes from corner to corner.
    let chance = points(between(picture, "class=\"base\" d=\"", "\""));
    let ((left, bottom), (right, top)) = (chance[0], chance[1]);
    assert!(curve.len() > least && curve.len() <= 202 && right - left > 300.0 && bottom - top > 200.0, "{curve:?}");
    assert!(curve[0] == chance[0] && curve[curve.len() - 1] == chance[1], "{curve:?}");
    let strips = curve.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (bottom - f64::midpoint(pair[0].1, pair[1].1)));
    strips.sum::<f64>() / ((right - left) * (bottom - top))
}

#[test]
fn curves_are_those_of_the_metrics() {
    let (place, _, page) = weather("");
    let metrics = place.done("evaluate -m model.json weather.parquet --json --report other.html").json();
    let auc = number(&metrics, "/metrics/auc/value");
    for page in [&page, &place.page("other.html")] {
        let area = area(page);
        assert!((area - auc).abs() <= 2e-3, "{area} is drawn, {auc} is said");
    }
    // Classes that are the other way round have another area, which the check would notice.
    let (_, _, other) = weather("--positive false");
    assert!(page != other && (area(&other) - auc).abs() <= 2e-3, "both classes are ranked as well");
    place.done("train weather.parquet --label rain --features wind --device cpu --report worse.html");
    let worse = place.page("worse.html");
    assert!((area(&worse) - auc).abs() > 0.05, "{}", area(&worse));
    // Every row is in the pictures, in its class.
    assert_says(&page, &["true (623 rows)", "false (838 rows)", "the margins of 1,461 rows"]);
}

#[test]
fn evaluate_writes_a_page_of_its_rows() {
    let (place, model, _) = weather("");
    let arguments = "evaluate -m model.json weather.parquet --where wind>3 --threshold 0.3 --json --report page.html";
    let metrics = place.done(arguments).json();
    let page = place.page("page.html");
    let count = check_figures(&page, &model, Some(&metrics["metrics"])).unwrap_or_else(|error| panic!("{error}"));
    assert!(count >= 50, "{count} numbers");
    assert_alone(&page);
    assert_says(&page, &["evaluated on weather.parquet", "at a threshold of 0.3"]);
    assert!(!page.contains("in-sample") && !page.contains("on its way down"));
    for report in ["model.json", "weather.parquet"] {
        let before = place.read(report);
        let run = place.run(&format!("evaluate -m model.json weather.parquet --report {report}"));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
        assert_says(&run.stderr, &["same file"]);
        assert!(place.read(report) == before);
    }
}

#[test]
fn the_page_says_on_which_rows_it_looked() {
    let (_, _, page) = weather("");
    assert_says(&page, &["in-sample", "flatters the model"]);
    let (_, model, page) = weather("--split 0.3");
    let rows = number(&model, "/training/validation/rows");
    assert_says(&page, &["did not see (split 0.3)", &format!("data-place=\"quality/rows\">{rows}<")]);
    assert!(!page.contains("in-sample"));
    for (name, place) in [("loss", "log_loss"), ("auc", "auc/value"), ("brier", "brier"), ("accuracy", "accuracy")] {
        let field = if name == "loss" { "log_loss" } else { name };
        let expected = number(&model, &format!("/training/validation/{field}"));
        let found = figures(&page).into_iter().find(|figure| figure.place == format!("quality/{place}")).expect(place);
        assert_eq!(found.value.to_bits(), expected.to_bits(), "{name}");
    }
}

#[test]
fn neither_threads_nor_row_groups_change_the_pictures() {
    let mut random = Random(11);
    let rows = 30_000;
    let x: Vec<f64> = (0..rows).map(|_| random.unit()).collect();
    let u: Vec<f64> = (0..rows).map(|_| random.unit() * 100.0).collect();
    let label: Vec<bool> = x.iter().map(|x| random.unit() < *x).collect();
    // Some of it far from its mean, on both sides.
    let far = (0..rows)
        .map(|row| random.unit() * if row % 100 == 0 { 50.0 } else { 1.0 } - if row % 70 == 0 { 30.0 } else { 0.0 });
    let levels = (0..rows).map(|row| ["north", "east", "south"][row * 7 % 5 % 3]);
    let columns: [(&str, ArrayRef); 5] = [
        ("x", Arc::new(Float64Array::from(x))),
        ("u", Arc::new(Float64Array::from(u))),
        ("y", Arc::new(BooleanArray::from(label))),
        ("far", Arc::new(far.collect::<Float64Array>())),
        ("g", Arc::new(StringArray::from_iter_values(levels))),
    ];
    let whole = Place::with_data(&columns);
    let parts = Place::new();
    common::data::write_parquet(&parts.path("data.parquet"), &columns, 1234);
    let landscape = |place: &Place, threads: u32| {
        let flags = format!("--threads {threads} --device cpu --report page.html");
        place.done(&format!("train data.parquet --label y --features x --weight u {flags}"));
        between(&place.page("page.html"), "<h3>The loss as a landscape</h3>", "</figure>").to_owned()
    };
    let expected = landscape(&whole, 1);
    assert!(landscape(&whole, 2) == expected && landscape(&parts, 2) == expected);
    let pictures = |place: &Place, features: &str, threads: u32| {
        let flags = format!("--threads {threads} --device cpu --report page.html");
        place.done(&format!("train data.parquet --label y --features {features} {flags}"));
        let page = place.page("page.html");
        // Without what it cost, which differs from run to run.
        between(&page, "<section id=\"pictures\">", "<h2>The cost").to_owned()
    };
    for (features, says) in [
        ("x,u", &["The boundary", "of the 30,000 rows"]),
        ("x,far,g", &["12,000 rows", "The probability at each level"]),
    ] {
        let expected = pictures(&whole, features, 1);
        assert_says(&expected, says);
        assert!(expected.len() > 20_000);
        assert!(pictures(&whole, features, 2) == expected && pictures(&parts, features, 2) == expected, "{features}");
    }
}

#[test]
fn a_run_without_an_answer_says_so() {
    let (_, _, page) = weather("--max-iterations 1");
    assert_says(&page, &["verdict bad", "the iterations ran out", "raise --max-iterations"]);
    let x: Vec<f64> = (0..100).map(f64::from).collect();
    let label: Vec<bool> = x.iter().map(|x| *x > 40.0).collect();
    let columns: [(&str, ArrayRef); 2] =
        [("x", Arc::new(Float64Array::from(x))), ("y", Arc::new(BooleanArray::from(label)))];
    let place = Place::with_data(&columns);
    place.done("train data.parquet --label y --device cpu --split 0.3 -o model.json --report page.html");
    let page = place.page("page.html");
    assert_says(&page, &["verdict bad", "No finite answer", "no estimates", "the columns that separate: x"]);
    assert_alone(&page);
    assert!(place.json_file("model.json")["training"].get("validation").is_none());
    let (_, _, page) = weather("");
    assert!(!page.contains("verdict bad") && page.contains("<strong>Converged</strong>"));
}

#[test]
fn the_terminal_shows_bars_where_they_fit() {
    let place = Place::with_example("weather.parquet");
    let run = place.done(&format!("{WEATHER} -o model.json"));
    assert_says(&run.stderr, &["note: loss █", "▁ from 0.68", "to 0.46"]);
    let plain = run.stdout;
    assert_says(&plain, &["effect of 1 std. dev.", "████████████│"]);
    let inspected = place.done("inspect model.json").stdout;
    assert!(inspected.ends_with(&plain), "{inspected}");
    assert!(plain.lines().all(|line| line.chars().count() <= 100), "{plain}");
    let wide = place.done(&format!("{WEATHER} --inference")).stdout;
    assert!(!wide.contains("effect of"), "{wide}");
    let reported = place.done(&format!("{WEATHER} --report page.html")).stderr;
    assert_says(&reported, &["in-sample: AUC 0."]);
    assert!(!run.stderr.contains("in-sample"));
}

/// From places in a picture to the numbers that its ticks name, on both axes.
fn axes(picture: &str) -> [impl Fn(f64) -> f64; 2] {
    let ticks = |class: &str, axis: &str| -> Vec<(f64, f64)> {
        picture
            .split("<text ")
            .filter_map(|text| text.strip_prefix(&format!("class=\"tick {class}\" ")))
            .map(|text| {
                let at: f64 = between(text, &format!("{axis}=\""), "\"").parse().expect("a number");
                // The foot of a number is below its line.
                (if axis == "y" { at - 4.0 } else { at }, seen(between(text, ">", "<")).0)
            })
            .collect()
    };
    [ticks("middle", "x"), ticks("end", "y")].map(|ticks| {
        let ((from, low), (to, high)) = (ticks[0], ticks[ticks.len() - 1]);
        assert!(ticks.len() > 1 && (from - to).abs() > 50.0, "{ticks:?}");
        move |at: f64| low + (at - from) / (to - from) * (high - low)
    })
}

/// Rows of one number, their classes and weights; the tails are long.
struct Rows {
    x: Vec<f64>,
    label: Vec<bool>,
    weight: Vec<f64>,
}

impl Rows {
    fn new() -> Self {
        let mut random = Random(21);
        let count = 3000;
        let x: Vec<f64> = (0..count).map(|_| 5.0 + (4.0 * random.unit() - 2.0).sinh()).collect();
        let label = x.iter().map(|x| random.unit() < 1.0 / (1.0 + (7.0 - 1.1 * x).exp())).collect();
        // Their sum is their number, so that no sum can tell that there are weights.
        let weight = (0..count).map(|row| if row % 2 == 0 { 1.75 } else { 0.25 }).collect();
        Self { x, label, weight }
    }

    fn place(&self) -> Place {
        let columns: [(&str, ArrayRef); 3] = [
            ("x", Arc::new(Float64Array::from(self.x.clone()))),
            ("w", Arc::new(Float64Array::from(self.weight.clone()))),
            ("y", Arc::new(BooleanArray::from(self.label.clone()))),
        ];
        Place::with_data(&columns)
    }

    /// Row by row, the mean loss and the penalty over the coefficient of a standard deviation and the intercept at the mean.
    fn loss(&self, is_weighted: bool, l2: f64, [a, b]: [f64; 2]) -> f64 {
        let weight = |row: usize| if is_weighted { self.weight[row] } else { 1.0 };
        let total: f64 = (0..self.x.len()).map(weight).sum();
        let mean_of = |f: &dyn Fn(usize) -> f64| (0..self.x.len()).map(|row| weight(row) * f(row)).sum::<f64>() / total;
        let mean = mean_of(&|row| self.x[row]);
        let scale = mean_of(&|row| (self.x[row] - mean).powi(2)).sqrt();
        let cost = |row: usize| {
            let z = a * (self.x[row] - mean) / scale + b;
            (if self.label[row] { -z } else { z }).exp().ln_1p()
        };
        mean_of(&cost) + 0.5 * l2 * a * a
    }
}

/// Checks the landscape of a page: where its lines are, against the rows themselves, and where the way begins and ends.
fn check_landscape(page: &str, model: &Value, loss: impl Fn([f64; 2]) -> f64) -> Result<(), String> {
    let picture = between(page, "<h3>The loss as a landscape</h3>", "</figure>");
    let [x, y] = axes(picture);
    let read = |path: &str| points(path).into_iter().map(|(a, b)| [x(a), y(b)]).collect::<Vec<_>>();
    let way = read(between(picture, "class=\"curve a\" d=\"", "\""));
    let of = |part: &str| number(model, &format!("/features/0/{part}"));
    let end = [of("coefficient") * of("scale"), number(model, "/intercept") + of("coefficient") * of("mean")];
    let (start, last) = (way[0], way[way.len() - 1]);
    let near = |found: [f64; 2], expected: [f64; 2]| (0..2).all(|axis| (found[axis] - expected[axis]).abs() <= 0.02);
    if !near(last, end) || start[0].abs() > 0.02 {
        return Err(format!("the way is {way:?} and ends at {end:?}"));
    }
    let (top, bottom) = (loss(start), loss(end));
    let line = read(between(picture, "stroke-width:1.8\" d=\"", "\""));
    for point in &line {
        if (loss(*point) - top).abs() > 0.03 * (top - bottom) {
            return Err(format!("{} at {point:?} on the line of {top}", loss(*point)));
        }
    }
    // All around the minimum, on both sides of the start.
    let reaches = |axis: usize, sign: f64| line.iter().any(|point| sign * (point[axis] - end[axis]) > 0.3);
    if line.len() < 80 || ![(0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)].iter().all(|&(axis, sign)| reaches(axis, sign)) {
        return Err(format!("{} points of a line", line.len()));
    }
    let (difference, _) = seen(between(picture, "differs from the solver’s by ", " at most"));
    if difference <= 1e-7 { Ok(()) } else { Err(format!("the caption says {difference}")) }
}

#[test]
fn the_landscape_is_that_of_the_rows() {
    let rows = Rows::new();
    let place = rows.place();
    for (flags, is_weighted, l2) in [
        ("", false, 0.0),
        ("--l2 0.05", false, 0.05),
        ("--weight w --solver gradient-descent", true, 0.0),
        ("--weight w --l2 0.05 --max-iterations 2 --solver newton", true, 0.05),
    ] {
        place.done(&format!(
            "train data.parquet --label y --features x --device cpu {flags} -o model.json --report page.html"
        ));
        let (page, model) = (place.page("page.html"), place.json_file("model.json"));
        assert_alone(&page);
        check_landscape(&page, &model, |point| rows.loss(is_weighted, l2, point))
            .unwrap_or_else(|error| panic!("{flags}: {error}"));
        // The rows otherwise weighed, or penalised, are another landscape.
        assert!(check_landscape(&page, &model, |point| rows.loss(is_weighted, l2 + 0.05, point)).is_err(), "{flags}");
        assert!(check_landscape(&page, &model, |[a, b]| rows.loss(is_weighted, l2, [a, b + 0.1])).is_err(), "{flags}");
    }
    // The factors of the classes are in the loss as well.
    place.done(
        "train data.parquet --label y --features x --device cpu --weight w --class-weight balanced --report page.html",
    );
    let (difference, _) = seen(between(&place.page("page.html"), "differs from the solver’s by ", " at most"));
    assert!(difference <= 1e-7, "{difference}");
    // The solver did not see the rows that are held back, and a plane has no room for more than two parameters.
    for flags in
        ["--features x --split 0.3", "--features x,w", "--features x --no-intercept", "--features x --offset w"]
    {
        place.done(&format!("train data.parquet --label y {flags} --device cpu --report page.html"));
        assert!(!place.page("page.html").contains("landscape"), "{flags}");
    }
}

#[test]
fn a_line_search_is_drawn_as_it_was_measured() {
    let (place, _, page) = weather("--solver lbfgs --history history.jsonl");
    let text = String::from_utf8(place.read("history.jsonl")).expect("text");
    let history: Value = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect();
    let trials = |line: &Value| line["search"]["tried"].as_array().map_or(0, Vec::len);
    let lines = history.as_array().expect("lines");
    let most = lines.iter().map(trials).max().expect("iterations");
    let number_of_it = lines.iter().position(|line| trials(line) == most).expect("it is there");
    assert!(most > 1);
    let picture = between(&page, "<h3>A line search</h3>", "</figure>");
    assert_says(
        picture,
        &[&format!("Iteration {number_of_it}, which tried most steps ({most})"), "interpolated", "measured"],
    );
    let check = |page: &str| {
        let found = figures(page).into_iter().filter(|figure| figure.place.starts_with("history/"));
        let mut count = 0;
        for Figure { place, value, text } in found {
            let expected = number(&history, &place["history".len()..]);
            let (shown, half) = seen(&text);
            if value.to_bits() != expected.to_bits() || (shown - value).abs() > half * (1.0 + 1e-9) {
                return Err(format!("{place}: {value:?}, {text} instead of {expected:?}"));
            }
            count += 1;
        }
        Ok(count)
    };
    assert_eq!(check(&page), Ok(2 + 3 * most));
    let other = page.replace(
        &format!("history/{number_of_it}/search/tried/0/"),
        &format!("history/{number_of_it}/search/tried/1/"),
    );
    assert!(other != page && check(&other).is_err());
    // Each dot is where its numbers are, and the curve goes through it.
    let [x, y] = axes(picture);
    let search = &lines[number_of_it]["search"];
    let curve = points(between(picture, "class=\"curve a\" d=\"", "\""));
    let dots: Vec<(f64, f64)> = picture
        .split("<circle class=\"dot a\"")
        .skip(1)
        .map(|dot| ["cx", "cy"].map(|at| between(dot, &format!("{at}=\""), "\"").parse().expect("a number")).into())
        .collect();
    assert_eq!(dots.len(), most, "all of these steps are near enough to be drawn");
    let fall = number(search, "/loss") - number(&lines[number_of_it], "/loss");
    for (index, (at, value)) in dots.iter().enumerate() {
        let of = |part: &str| number(search, &format!("/tried/{index}/{part}"));
        assert!((x(*at) - of("step")).abs() <= 0.01 * number(&lines[number_of_it], "/step"), "{index}: {at}");
        assert!((y(*value) - of("loss")).abs() <= 0.02 * fall, "{index}: {value}");
        assert!(curve.iter().any(|(a, b)| (a - at).hypot(b - value) < 0.2), "{index}");
    }
    // A page without a run has no search.
    place.done("evaluate -m model.json weather.parquet --report other.html");
    assert!(!place.page("other.html").contains("line search"));
}

#[test]
fn the_surface_has_the_probabilities_of_its_corners() {
    let mut random = Random(17);
    let rows = 4000;
    let [x, u] = [(); 2].map(|()| (0..rows).map(|_| random.unit()).collect::<Vec<f64>>());
    let label: Vec<bool> =
        x.iter().zip(&u).map(|(x, u)| random.unit() < 1.0 / (1.0 + (4.0 * (x - u) + 0.5).exp())).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("x", Arc::new(Float64Array::from(x))),
        ("u", Arc::new(Float64Array::from(u))),
        ("y", Arc::new(BooleanArray::from(label))),
    ];
    let place = Place::with_data(&columns);
    place.done("train data.parquet --label y --device cpu -o model.json --report page.html");
    let (page, model) = (place.page("page.html"), place.json_file("model.json"));
    let picture = between(&page, "<h3>The probability as a surface</h3>", "</figure>");
    let of = |index: usize| number(&model, &format!("/features/{index}/coefficient"));
    // x lowers the probability, u raises it: nearest is the corner (1, 0), farthest (0, 1).
    assert!(of(0) < -2.0 && of(1) > 2.0);
    let probability = |x: f64, u: f64| 1.0 / (1.0 + (-(number(&model, "/intercept") + of(0) * x + of(1) * u)).exp());
    let [nearest, farthest] = [probability(1.0, 0.0), probability(0.0, 1.0)];
    let meshes: Vec<(f64, f64)> = picture
        .split("<path class=\"mesh ")
        .skip(1)
        .flat_map(|mesh| between(mesh, "d=\"", "\"").replace('Z', "").split('M').map(points).collect::<Vec<_>>())
        .flatten()
        .collect();
    assert!(meshes.len() >= 4 * 24 * 24, "{} corners", meshes.len());
    let lowest = meshes.iter().map(|(_, y)| *y).fold(0.0, f64::max);
    let highest = meshes.iter().map(|(_, y)| *y).fold(f64::INFINITY, f64::min);
    // The axis says what is high: from 1 to one half are two ticks.
    let tick = |name: &str| -> f64 {
        let text = picture
            .split("<text ")
            .find(|text| text.ends_with(&format!(">{name}</text>")) || text.contains(&format!(">{name}</text><")));
        between(text.unwrap_or_else(|| panic!("no {name}")), "y=\"", "\"").parse().expect("a number")
    };
    let high = 2.0 * (tick("0.5") - tick("1"));
    let floor = points(&between(picture, "class=\"area c\" d=\"", "\"").replace('Z', ""));
    let [front, back] = [f64::max, f64::min].map(|of| floor.iter().map(|(_, y)| *y).reduce(of).expect("corners"));
    assert!(((front - lowest) / high - nearest).abs() < 0.02, "{lowest} for {nearest}");
    assert!(((back - highest) / high - farthest).abs() < 0.02, "{highest} for {farthest}");
    // The boundary lies in the plane of one half: both ends are over the edges of the floor.
    let line = points(between(picture, "<path class=\"ring\" d=\"", "\""));
    for (at, y) in line {
        let below = y + 0.5 * high;
        let on_edge = floor.iter().zip(floor.iter().cycle().skip(1)).any(|(from, to)| {
            let cross = (to.0 - from.0) * (below - from.1) - (to.1 - from.1) * (at - from.0);
            cross.abs() / (to.0 - from.0).hypot(to.1 - from.1) < 0.3
        });
        assert!(on_edge, "{at} {y}");
    }
    let three = weather("").2;
    assert!(!three.contains("as a surface"));
}

#[test]
fn captions_say_what_counts() {
    let place = Rows::new().place();
    let train = "train data.parquet --label y --features x --device cpu -o model.json --report page.html";
    place.done(&format!("{train} --weight w"));
    let page = place.page("page.html");
    let weighted = [
        "A row counts by its weight (w)",
        "by weight",
        "what the rows of each tenth weigh",
        "tenth of the weight",
        "What the rows weigh: blue",
        "3,000 rows, each counted once",
        "Every row counts once here.",
    ];
    assert_says(&page, &weighted);
    assert_says(&page, &["fitted to weighted rows"]);
    assert!(!page.contains("whatever its weight"));
    place.done("evaluate -m model.json data.parquet --weight w --report page.html");
    assert_says(&place.page("page.html"), &weighted);
    place.done("evaluate -m model.json data.parquet --report page.html");
    let page = place.page("page.html");
    assert_says(&page, &["Every row counts once here, whatever its weight in training.", "fitted to weighted rows"]);
    assert!(!weighted.iter().any(|text| page.contains(text) && *text != "Every row counts once here."));
    place.done(train);
    let page = place.page("page.html");
    assert!(!weighted.iter().any(|text| page.contains(text)) && !page.contains("fitted to weighted rows"));
}

// ---- several classes ------------------------------------------------------------------------------------------

/// A page of iris, its model, and what `evaluate` finds on the same rows.
fn iris(flags: &str) -> (Place, Value, Value, String) {
    let place = Place::with_example("iris.parquet");
    place.done(&format!("train iris.parquet --label species --device cpu {flags} -o model.json --report page.html"));
    let (model, page) = (place.json_file("model.json"), place.page("page.html"));
    let mut evaluated = place.done("evaluate -m model.json iris.parquet --json").json();
    (place, model, evaluated["metrics"].take(), page)
}

#[test]
fn numbers_of_several_classes_are_those_of_their_json() {
    for (flags, least) in [("--l2 0.01", 110), ("--l2 0.01 --inference", 160), ("--solver generative", 100)] {
        let (_, model, metrics, page) = iris(flags);
        let count = check_figures(&page, &model, Some(&metrics)).unwrap_or_else(|error| panic!("{flags}: {error}"));
        assert!(count >= least, "{flags}: {count} numbers");
        assert_alone(&page);
        let places: Vec<String> = figures(&page).into_iter().map(|figure| figure.place).collect();
        let expected = [
            "model/intercepts/2",
            "model/features/3/coefficients/1",
            "model/training/class_rows/0",
            "effect/3/2",
            "quality/macro_auc/value",
            "quality/confusion/1/2",
            "quality/classes/2/auc/value",
            "quality/classes/1/calibration/expected_error",
        ];
        for place in expected {
            assert!(places.iter().any(|other| other == place), "{flags}: no {place}");
        }
        // The reference has no effects where there is one.
        let has_reference = model["training"]["identification"] == "reference";
        assert_eq!(has_reference, flags.contains("generative"));
        assert_eq!(places.iter().any(|place| place == "effect/3/0"), !has_reference);
        // The check would notice another class.
        let swapped = page.replace("\"effect/3/2\"", "\"effect/3/1\"");
        assert!(swapped != page && check_figures(&swapped, &model, Some(&metrics)).is_err());
        let mut wrong = metrics.clone();
        wrong["confusion"][1][2] = (number(&metrics, "/confusion/1/2") + 1.0).into();
        assert!(check_figures(&page, &model, Some(&wrong)).is_err());
    }
    let (_, _, _, page) = iris("--solver generative");
    assert_says(&page, &["Gaussian classes", "In closed form", "model/generative/priors/1"]);
    assert!(!page.contains("on its way down") && !page.contains("Converged"));
}

#[test]
fn curves_of_several_classes_are_those_of_the_metrics() {
    let place = Place::with_example("weather.parquet");
    place.done("train weather.parquet --label kind --features wind,rain --l2 0.01 --device cpu -o model.json --report page.html");
    let metrics = place.done("evaluate -m model.json weather.parquet --json --report other.html").json();
    let (page, other) = (place.page("page.html"), place.page("other.html"));
    for page in [&page, &other] {
        let picture =
            between(page, "<h3>ROC curves</h3>", "<figcaption>").split_once("viewBox=\"0 0 400").expect("it").1;
        for class in 0..5 {
            let (area, auc) = (
                area_under(picture, &format!("curve k k{class}"), 5),
                number(&metrics, &format!("/metrics/classes/{class}/auc/value")),
            );
            assert!((area - auc).abs() <= 4e-3, "{class}: {area} is drawn, {auc} is said");
        }
        check_figures(page, &place.json_file("model.json"), Some(&metrics["metrics"])).expect("the numbers");
        assert_alone(page);
    }
    assert_says(&other, &["evaluated on weather.parquet"]);
    assert!(page.contains("in-sample") && !other.contains("in-sample") && !other.contains("way down"));
    // Every row has its loss in the picture.
    assert_says(&page, &["where 1,461 rows are"]);
}

/// Texts of the data in every place that a page of several classes has for them.
#[test]
fn what_comes_from_the_data_is_text_with_several_classes_too() {
    let mut random = Random(5);
    let rows = 600;
    let x: Vec<f64> = (0..rows).map(|_| random.unit()).collect();
    let levels: Vec<String> = (0..rows).map(|row| format!("{HOSTILE}{}", row % 5)).collect();
    let names = ["<b>yes", "</style>no", &format!("{HOSTILE}{}", "x".repeat(20_000)), ""];
    let label: Vec<&str> = x.iter().map(|x| names[((x + random.unit()) * 2.0) as usize % 4]).collect();
    let columns: [(&str, ArrayRef); 3] = [
        (HOSTILE, Arc::new(Float64Array::from(x.clone()))),
        ("level<i>", Arc::new(StringArray::from(levels))),
        ("<u>label", Arc::new(StringArray::from(label))),
    ];
    let place = Place::with_data(&columns);
    for (flags, picture) in
        [("--inference", "level&lt;i&gt;"), ("--ignore level<i>", "The curves and what was observed")]
    {
        place.done(&format!(
            "train data.parquet --label <u>label --l2 0.01 --device cpu {flags} --report page.html -o model.json"
        ));
        let page = place.page("page.html");
        assert_alone(&page);
        for raw in ["<script", "<img", "<b>yes", "<u>label", "<i>", "</style>no"] {
            assert!(!page.contains(&raw.replace("<i>", "level<i>")), "{raw}");
        }
        assert_says(&page, &["&lt;b&gt;yes", "&lt;/style&gt;no", "…xxx", "(empty)", picture]);
        assert!(page.len() < 500_000, "{}", page.len());
        let metrics = place.done("evaluate -m model.json data.parquet --json").json();
        check_figures(&page, &place.json_file("model.json"), Some(&metrics["metrics"])).expect("the numbers");
    }
}

#[test]
fn many_classes_make_no_large_page() {
    let mut random = Random(9);
    let (rows, classes) = (6000, 1000);
    let label: Vec<usize> = (0..rows).map(|row| if row < classes { row } else { row * row % classes }).collect();
    let feature = |random: &mut Random, label: &[usize]| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(label.iter().map(|class| (class % 7) as f64 + random.unit())))
    };
    let columns: [(&str, ArrayRef); 3] = [
        ("x", feature(&mut random, &label)),
        ("u", feature(&mut random, &label)),
        (
            "y",
            Arc::new(StringArray::from_iter_values(
                label.iter().map(|class| format!("a class of some length {class}")),
            )),
        ),
    ];
    let place = Place::with_data(&columns);
    place
        .done("train data.parquet --label y --device cpu --l2 0.1 --max-iterations 3 --report page.html -o model.json");
    let page = place.page("page.html");
    assert!((50_000..1_000_000).contains(&page.len()), "{}", page.len());
    assert_says(
        &page,
        &["991 others", "988 more", "The largest confusions, 20 of", "960 more", "The regions of the classes"],
    );
    let metrics = place.done("evaluate -m model.json data.parquet --json").json();
    check_figures(&page, &place.json_file("model.json"), Some(&metrics["metrics"])).expect("the numbers");
    assert_alone(&page);
}

#[test]
fn neither_threads_nor_row_groups_change_the_pictures_of_several_classes() {
    let mut random = Random(11);
    let rows = 30_000;
    let x: Vec<f64> = (0..rows).map(|_| random.unit()).collect();
    let u: Vec<f64> = (0..rows).map(|_| random.unit() * 100.0).collect();
    let label: Vec<String> = x.iter().map(|x| format!("class {}", ((x + random.unit()) * 2.0) as usize)).collect();
    let level = StringArray::from_iter_values((0..rows).map(|row| ["a", "b", "c"][row * 7 % 5 % 3]));
    let columns: [(&str, ArrayRef); 4] = [
        ("x", Arc::new(Float64Array::from(x))),
        ("u", Arc::new(Float64Array::from(u))),
        ("g", Arc::new(level)),
        ("y", Arc::new(StringArray::from(label))),
    ];
    let whole = Place::with_data(&columns);
    let parts = Place::new();
    common::data::write_parquet(&parts.path("data.parquet"), &columns, 1234);
    for (flags, says) in [("--ignore g", "of the 30,000 rows"), ("", "The probabilities at each level")] {
        let pictures = |place: &Place, threads: u32| {
            let flags = format!("{flags} --l2 0.01 --threads {threads} --device cpu --report page.html");
            place.done(&format!("train data.parquet --label y {flags}"));
            let page = place.page("page.html");
            let cost = between(&page, "<h3>What a row costs</h3>", "</figure>").to_owned();
            between(&page, "<section id=\"pictures\">", "<h2>The cost").to_owned() + &cost
        };
        let expected = pictures(&whole, 1);
        assert_says(&expected, &[says, "30,000 rows are"]);
        assert!(expected.len() > 20_000);
        assert!(pictures(&whole, 2) == expected && pictures(&parts, 2) == expected);
    }
}

/// Marks lie on a line over the numbers beside them.
#[test]
fn marks_of_several_classes_lie_where_their_numbers_are() {
    let (_, _, _, page) = iris("--l2 0.01");
    let lanes = between(&page, "<table class=\"forest lanes\">", "</table>");
    let mut marks: Vec<(f64, f64)> = Vec::new();
    for row in lanes.split("<tr>").skip(1) {
        let places = row
            .split("<svg x=\"")
            .skip(1)
            .map(|rest| rest.split_once('%').expect("percent").0.parse().expect("a number"));
        marks.extend(figures(row).iter().map(|figure| figure.value).zip(places));
    }
    assert_eq!(marks.len(), 12);
    let slope = (marks[1].1 - marks[0].1) / (marks[1].0 - marks[0].0);
    assert!(
        slope > 0.0 && marks.iter().all(|mark| (marks[0].1 + slope * (mark.0 - marks[0].0) - mark.1).abs() <= 0.1),
        "{marks:?}"
    );
}

#[test]
fn a_separated_run_of_several_classes_says_so() {
    let (_, model, metrics, page) = iris("--split 0.3");
    assert_eq!(model["training"]["status"], "separated");
    assert_says(
        &page,
        &["verdict bad", "No finite answer", "no estimates", "did not see (split 0.3)", "are 0: a margin is"],
    );
    assert_alone(&page);
    assert!(check_figures(&page, &model, Some(&metrics)).is_err(), "these are not the rows of the validation");
    let (_, _, _, page) = iris("--l2 0.01 --features petal_length,petal_width");
    assert_says(&page, &["The regions of the classes", "<strong>Converged</strong>"]);
    let (_, _, _, page) = iris("--l2 0.01 --features petal_length");
    assert_says(&page, &["The curves and what was observed", "The likeliest is setosa up to"]);
}
