//! The page of `--report`: its numbers are those of the JSON, what comes from the data is text, and it needs nothing but
//! itself.

mod common {
    pub(crate) mod data;
    pub(crate) mod examples;
    pub(crate) mod files;
    pub(crate) mod process;
}

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, StringArray};
use serde_json::Value;

use common::data::{Random, write_parquet};
use common::process::{Place, assert_says};

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
    let found = figures(page);
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
                let of = |part: &str| number(model, &format!("/features{pointer}/{part}"));
                of("coefficient")? * of("scale")?
            }
            "quality" => number(quality.ok_or("a page with metrics")?, &pointer)?,
            _ => return Err(format!("{place} is of no document")),
        };
        if value.to_bits() != expected.to_bits() && !(value.is_nan() && expected.is_nan()) {
            return Err(format!("{place}: {value:?} instead of {expected:?}"));
        }
        if value.is_finite() {
            let (shown, half) = seen(text);
            if !((shown - value).abs() <= half * (1.0 + 1e-9)) {
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
        wrong["features"][1]["coefficient"] =
            (model["features"][1]["coefficient"].as_f64().expect("a number") * (1.0 + 1e-15)).into();
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

const HOSTILE: &str = "<script>alert('1')</script>\"><img src=x onerror=alert(1)>&amp;";

/// Rows whose names and levels are markup, or without end.
fn hostile() -> Place {
    let mut random = Random(5);
    let rows = 400;
    let x: Vec<f64> = (0..rows).map(|_| random.unit()).collect();
    let levels: Vec<String> = (0..rows).map(|row| format!("{HOSTILE}{}", row % 5)).collect();
    let label: Vec<&str> = x.iter().map(|x| if random.unit() < *x { "<b>yes" } else { "</style>no" }).collect();
    let long = format!("long{}", "x".repeat(20_000));
    let place = Place::new();
    let columns: [(&str, ArrayRef); 4] = [
        (HOSTILE, Arc::new(Float64Array::from(x.clone()))),
        ("level<i>", Arc::new(StringArray::from(levels))),
        (&long, Arc::new(Float64Array::from_iter_values((0..rows).map(|_| random.unit())))),
        ("<u>label", Arc::new(StringArray::from(label))),
    ];
    write_parquet(&place.path("data.parquet"), &columns, usize::MAX);
    place
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
            Arc::new(BooleanArray::from_iter((0..rows).map(|row| Some(row % 3 == 0)))) as ArrayRef,
        )])
        .collect();
    let place = Place::new();
    let columns: Vec<(&str, ArrayRef)> =
        columns.iter().map(|(name, column)| (name.as_str(), Arc::clone(column))).collect();
    write_parquet(&place.path("data.parquet"), &columns, usize::MAX);
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
