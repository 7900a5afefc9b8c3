//! Names and values as the user writes them and as messages show them: lists with odd names, columns and classes that are
//! not there, commands that are proposed, files that are no Parquet, and labels that need no flag.

/// What tests of the program as a process share; each file takes the parts that it uses.
mod common {
    pub(crate) mod data;
    pub(crate) mod files;
    pub(crate) mod model;
    pub(crate) mod process;
    pub(crate) mod random;
    pub(crate) mod says;
}

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, ListArray, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Int32Type};
use serde_json::Value;

use common::data::write_parquet;
use common::model::coefficients;
use common::process::{Place, Run};
use common::random::Random;
use common::says::assert_says;

const ROWS: usize = 60;

/// Numbers that differ from column to column.
fn numbers(column: u64) -> ArrayRef {
    let mut random = Random(column);
    Arc::new(Float64Array::from_iter_values((0..ROWS).map(|_| random.unit())))
}

/// A label that depends on chance alone, so that every model of it exists.
fn is_positive(row: usize) -> bool {
    Random(1_000 + row as u64).label(-0.4)
}

fn booleans() -> ArrayRef {
    Arc::new((0..ROWS).map(|row| Some(is_positive(row))).collect::<BooleanArray>())
}

/// The label as two texts, the negative one first.
fn texts([negative, positive]: [&str; 2]) -> ArrayRef {
    Arc::new((0..ROWS).map(|row| Some(if is_positive(row) { positive } else { negative })).collect::<StringArray>())
}

/// The program with an argument that has blanks in it.
fn run(place: &Place, arguments: &str, more: &[&str]) -> Run {
    Run::of(place.command(arguments).args(more).output().expect("the program starts"))
}

fn model(place: &Place, arguments: &str, more: &[&str]) -> Value {
    let run = run(place, &format!("train data.parquet --label y --device cpu --json {arguments}"), more);
    assert_eq!(run.code, Some(0), "{more:?}: {run:?}");
    run.json()
}

/// Asserts that the arguments are refused with this code and these words in the fact and the way out.
#[track_caller]
fn assert_refused(place: &Place, arguments: &str, more: &[&str], code: i32, fact: &[&str], way_out: &[&str]) {
    let run = run(place, arguments, more);
    assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{arguments} {more:?}: {run:?}");
    let (said, help) = run.stderr.split_once("help: ").unwrap_or((&run.stderr, ""));
    assert_says(said, fact);
    assert_says(help, way_out);
}

fn names(model: &Value) -> Vec<&str> {
    let features = model["features"].as_array().expect("features");
    features.iter().map(|feature| feature["name"].as_str().expect("a name")).collect()
}

// ---- lists of names -------------------------------------------------------------------------------------------

/// Names that a list could take for something else, and how they stand in one.
const ODD: [(&str, &str); 9] = [
    ("a,b", "\"a,b\""),
    (" c", "\" c\""),
    ("d ", "\"d \""),
    ("", "\"\""),
    ("\"q\"", "\"\"\"q\"\"\""),
    ("5\" x", "5\" x"),
    ("-x", "-x"),
    ("k=v", "k=v"),
    ("\u{1f600}", "\u{1f600}"),
];

fn odd_place() -> Place {
    let mut columns: Vec<(&str, ArrayRef)> = vec![("y", booleans()), ("plain", numbers(99))];
    columns.extend((1..).zip(ODD).map(|(column, (name, _))| (name, numbers(column))));
    Place::with_data(&columns)
}

#[test]
fn names_with_commas_and_outer_blanks_are_features() {
    let place = odd_place();
    for (index, (name, entry)) in ODD.into_iter().enumerate() {
        let found = model(&place, "", &[&format!("--features={entry}")]);
        assert_eq!(names(&found), [name], "{entry}");
        // The same numbers under a plain name are the same model.
        let plain = Place::with_data(&[("y", booleans()), ("x", numbers(index as u64 + 1))]);
        assert_eq!(coefficients(&found), coefficients(&model(&plain, "", &[])), "{entry}");
    }
    let all: Vec<&str> = ODD.iter().map(|(name, _)| *name).collect();
    let list = ODD.map(|(_, entry)| entry).join(", ");
    assert_eq!(names(&model(&place, "", &["--features", &list])), all);
    assert_eq!(names(&model(&place, "", &["--ignore", &list])), ["plain"]);
    assert_eq!(names(&model(&place, "", &["--features", "plain,\"a,b\"", "--features=-x"])), ["plain", "a,b", "-x"]);
    let list = "\"a,b\",\"\"";
    let found = model(&place, "--features plain --max-levels 100", &["--categorical", list]);
    assert_eq!(found["categories"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_list_that_is_shown_can_be_given_back() {
    let place = odd_place();
    let refused = run(&place, "train data.parquet --label y --features nowhere --json", &[]).json();
    let help = refused["error"]["help"].as_str().expect("a way out").to_owned();
    let (_, list) = help.split_once("The columns are: ").expect("a list");
    model(&place, "--features plain -o model.json", &[]);
    assert_eq!(names(&place.json_file("model.json")), ["plain"]);
    let out = "predict -m model.json data.parquet -o out.jsonl --keep";
    assert_eq!(run(&place, out, &[list]).code, Some(0), "{list}");
    let line = String::from_utf8(place.read("out.jsonl")).expect("UTF-8");
    let row: Value = serde_json::from_str(line.lines().next().expect("a row")).expect("JSON");
    let columns = row.as_object().expect("an object");
    assert_eq!(columns.len(), ODD.len() + 3);
    assert!(ODD.iter().all(|(name, _)| columns.contains_key(*name)), "{line}");
}

#[test]
fn lists_that_are_no_lists_are_refused() {
    let place = odd_place();
    let train = "train data.parquet --label y";
    for (list, fact) in [("\"a,b", "not closed"), ("\"a\"b", "no comma"), ("plain,,-x", "empty name")] {
        assert_refused(&place, train, &["--features", list], 2, &["--features", fact], &["name"]);
    }
    assert_refused(&place, train, &["--ignore", ""], 2, &["--ignore has an empty name"], &["\"\""]);
}

#[test]
fn weights_of_classes_and_references_may_have_odd_names() {
    let place = Place::with_data(&[("y", texts(["no,=", " yes"])), ("x", numbers(1)), ("a=b", texts(["u ", "v"]))]);
    let positive = ["--positive", " yes"];
    let found = model(&place, "", &[&positive[..], &["--class-weight", "\"no,==2\",\" yes=3\""]].concat());
    assert_eq!(found["training"]["class_weight"], serde_json::json!([2.0, 3.0]));
    let found = model(&place, "", &[&positive[..], &["--reference", "a=b=v"]].concat());
    assert_eq!(names(&found), ["x", "a=b=u "]);
}

/// `--keep` takes what `--features` takes: patterns, structs and lists.
#[test]
fn columns_to_keep_may_be_patterns() {
    let field = |name: &str| Arc::new(Field::new(name, DataType::Float64, true));
    let parts: ArrayRef = Arc::new(StructArray::from(vec![(field("u"), numbers(3)), (field("v"), numbers(4))]));
    let lists: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>((0..ROWS).map(|_| Some([Some(1), Some(2)]))));
    let columns = [("y", booleans()), ("x1", numbers(1)), ("x2", numbers(2)), ("s", parts), ("l", lists)];
    let place = Place::with_data(&columns);
    model(&place, "--features x1 -o model.json", &[]);
    let kept = |list: &str| {
        let found = run(&place, "predict -m model.json data.parquet -o - --limit 1 --keep", &[list]);
        assert_eq!(found.code, Some(0), "{list}: {found:?}");
        found.stdout.lines().next().expect("a head").to_owned()
    };
    assert_eq!(kept("x*"), "x1,x2,probability");
    assert_eq!(kept("s"), "s.u,s.v,probability");
    assert_eq!(kept("l, y"), "l[0],l[1],y,probability");
    // What a pattern meets again stands once.
    assert_eq!(kept("x2,x*,*1"), "x2,x1,probability");
    let predict = "predict -m model.json data.parquet -o -";
    assert_refused(&place, predict, &["--keep", "x*,x1"], 2, &["--keep names `x1` twice"], &["once"]);
    assert_refused(&place, predict, &["--keep", "z*"], 3, &["has not the column z*"], &["The columns are: y, x1"]);
}

// ---- names that are not there ---------------------------------------------------------------------------------

#[test]
fn the_name_that_was_meant_is_proposed() {
    let columns = [("Income", numbers(1)), ("city", texts(["Bonn", "Trier"])), ("y", texts(["bad", "good"]))];
    let place = Place::with_data(&columns);
    let train = "train data.parquet --label y --positive good";
    let income = ["did you mean Income?", "The columns are: Income, city, y"];
    for flags in ["--features income", "--ignore Incom", "--categorical incomE", "--weight INCOME", "--offset Icnome"] {
        assert_refused(&place, &format!("{train} {flags}"), &[], 3, &["no"], &income);
    }
    assert_refused(&place, "train data.parquet --label Y", &[], 3, &["no column `Y`"], &["did you mean y?"]);
    let reference = format!("{train} --reference");
    assert_refused(&place, &format!("{reference} City=Bonn"), &[], 3, &["no such column"], &["did you mean city?"]);
    let way_out = ["did you mean --reference city=Bonn?", "Its levels are: Bonn, Trier"];
    assert_refused(&place, &format!("{reference} city=Bon"), &[], 3, &["no such level"], &way_out);
    let label = "train data.parquet --label y";
    let way_out = ["did you mean --positive good?"];
    assert_refused(&place, &format!("{label} --positive Good"), &[], 3, &["no value", "bad (", "good ("], &way_out);
    let way_out = ["did you mean --class-weight bad=2?"];
    assert_refused(&place, &format!("{train} --class-weight Bad=2"), &[], 3, &["bad, good"], &way_out);
    assert_refused(&place, train, &["--where", "incom > 0"], 3, &["no column `incom`"], &["did you mean Income?"]);
    // What a model needs and a table has not.
    run(&place, &format!("{train} --device cpu -o model.json"), &[]);
    let other = [("income", numbers(1)), ("town", texts(["Bonn", "Trier"])), ("good", booleans())];
    write_parquet(&place.path("other.parquet"), &other, usize::MAX);
    let predict = "predict -m model.json other.parquet -o -";
    let way_out = ["did you mean income for Income?"];
    assert_refused(&place, predict, &[], 3, &["has not the columns Income, city"], &way_out);
    let predict = "predict -m model.json data.parquet -o - --keep incom";
    assert_refused(&place, predict, &[], 3, &["has not the column incom"], &income);
    // What is like nothing is not answered with something.
    let help = run(&place, &format!("{train} --features banana --json"), &[]).json()["error"]["help"].clone();
    assert!(!help.as_str().expect("a way out").contains("mean"), "{help}");
}

#[test]
fn blanks_of_values_show() {
    let texts = |texts: [&'static str; 3]| -> ArrayRef {
        Arc::new((0..ROWS).map(|row| Some(texts[row % 3])).collect::<StringArray>())
    };
    let place = Place::with_data(&[("y", booleans()), ("g", texts(["a", "a ", ""])), ("c", texts(["u", "u ", "u"]))]);
    let found = place.done("train data.parquet --label y --device cpu --features g --reference g=a");
    let rows: Vec<&str> = found.stdout.lines().filter(|line| line.starts_with("g=")).collect();
    let shown = |start: &str| rows.iter().any(|row| row.starts_with(start));
    assert!(shown("g=a  ") && shown("g='a ' ") && shown("g='' "), "{rows:?}");
    let way_out = ["Its levels are: '', a, 'a '"];
    assert_refused(&place, "train data.parquet --label y --reference g=zzz", &[], 3, &["no such level"], &way_out);
    let fact = ["u (40 rows), 'u ' (20 rows)"];
    assert_refused(&place, "train data.parquet --label c", &[], 3, &fact, &["--positive 'u '"]);
    let found = run(&place, "train data.parquet --label c --features '' --device cpu --positive", &["u "]);
    assert_eq!(found.code, Some(3), "a quote is no shell here: {found:?}");
    let found =
        run(&place, "train data.parquet --label c --device cpu --ignore g,y --features", &["", "--positive", "u "]);
    assert_says(&found.stdout, &["log odds of c = 'u '"]);
}

#[test]
fn first_rows_of_several_files_name_each_file_once() {
    let place = Place::new();
    let holes = |holes: &'static [usize]| -> ArrayRef {
        Arc::new((0..ROWS).map(|row| (!holes.contains(&row)).then_some(row as f64)).collect::<Float64Array>())
    };
    for (name, rows) in [("a.parquet", &[3, 5, 9][..]), ("b.parquet", &[1, 2, 4])] {
        write_parquet(&place.path(name), &[("y", booleans()), ("x", holes(rows))], usize::MAX);
    }
    let fact = ["6 null", "a.parquet: 3, 5, 9; b.parquet: 1, 2"];
    assert_refused(&place, "train a.parquet b.parquet --label y", &[], 3, &fact, &["--nulls"]);
    assert_refused(&place, "train a.parquet --label y", &[], 3, &["3 null", "3, 5, 9"], &["--nulls"]);
}

// ---- proposed commands ----------------------------------------------------------------------------------------

/// What a POSIX shell makes of a command that names the program.
fn in_shell(place: &Place, command: &str) -> Run {
    let program = Path::new(env!("CARGO_BIN_EXE_gpu-logreg"));
    let path = format!(
        "{}:{}",
        program.parent().expect("a folder").display(),
        std::env::var("PATH").expect("a path of programs")
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env("PATH", path).current_dir(place.path("."));
    shell.env_remove("GPU_LOGREG_DEVICE").env_remove("GPU_LOGREG_THREADS");
    Run::of(shell.output().expect("a shell"))
}

const NASTY: [&str; 13] =
    [">50K", "a b", "it's", "$x", "-1x", "*", "", "\\n", "a\nb", "%s", "!x", "\u{1f600} ", "--help"];

#[cfg(unix)]
#[test]
fn commands_that_are_proposed_run_as_they_stand() {
    for nasty in NASTY {
        // The value is the second in order: it is proposed as the positive one.
        let place = Place::with_data(&[("y", texts(["", nasty])), ("x", numbers(1)), (nasty, numbers(2))]);
        if nasty.is_empty() {
            continue;
        }
        let help = |arguments: &str| {
            let refused = run(&place, &format!("train data.parquet {arguments} --json"), &[]).json();
            refused["error"]["help"].as_str().unwrap_or_default().to_owned()
        };
        // For a label whose classes say nothing.
        let (_, flag) =
            help("--label y").split_once("Say it: ").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a flag");
        let (flag, _) = flag.split_once(" (or ").expect("another one");
        let train = format!("gpu-logreg train data.parquet --label y --device cpu --json {flag}");
        let found = in_shell(&place, &train);
        assert_eq!(found.code, Some(0), "{train}: {found:?}");
        assert_eq!(found.json()["label"]["positive"], nasty, "{train}");
        // For a label that is not named at all, with its positive value; there is no other column of two values.
        let (_, command) =
            help("").split_once("For example: ").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a command");
        let found = in_shell(&place, &format!("{command} --device cpu --json"));
        assert_eq!(found.code, Some(0), "{command}: {found:?}");
        assert_eq!(found.json()["label"]["positive"], nasty, "{command}");
        assert_eq!(place.files(), ["data.parquet"], "{command}");
        // The class that is nearest to a slip.
        let slip = format!("{nasty}.");
        let refused = run(&place, "train data.parquet --label y --json --positive", &[&slip]).json();
        if refused["error"]["exit_code"] != 3 {
            continue;
        }
        let help = refused["error"]["help"].as_str().expect("a way out");
        let flag = help.strip_prefix("Did you mean ").and_then(|rest| rest.strip_suffix('?'));
        if let Some(flag) = flag {
            let found =
                in_shell(&place, &format!("gpu-logreg train data.parquet --label y --device cpu --json {flag}"));
            assert_eq!(found.json()["label"]["positive"], nasty, "{flag}");
        }
    }
}

#[cfg(unix)]
#[test]
fn columns_and_files_with_odd_names_are_proposed_as_a_shell_takes_them() {
    for nasty in NASTY.into_iter().filter(|name| !name.is_empty()) {
        let place = Place::new();
        let file = format!("{nasty}.parquet");
        let columns = [(nasty, texts(["", ">50K"])), ("x", numbers(1))];
        write_parquet(&place.path(&file), &columns, usize::MAX);
        let refused = run(&place, "train --json", &["--", &file]).json();
        let help = refused["error"]["help"].as_str().expect("a way out");
        let command = help.strip_prefix("For example: ").expect("a command");
        let found = in_shell(&place, &format!("{command} --device cpu --json"));
        assert_eq!(found.code, Some(0), "{command}: {found:?}");
        let found = found.json();
        assert_eq!((&found["label"]["column"], &found["label"]["positive"]), (&nasty.into(), &">50K".into()));
        assert_eq!(place.files(), [file]);
    }
}

#[cfg(unix)]
#[test]
fn conditions_that_are_proposed_run_as_they_stand() {
    for name in ["y", "a b", "it's", "say \"y\"", "$x", "and"] {
        let labels: ArrayRef = Arc::new(
            (0..ROWS).map(|row| (row != 7).then_some(f64::from(u8::from(is_positive(row))))).collect::<Float64Array>(),
        );
        let weights: ArrayRef =
            Arc::new((0..ROWS).map(|row| Some(if row == 9 { f64::NAN } else { 1.0 })).collect::<Float64Array>());
        let place = Place::with_data(&[("x", numbers(1)), (name, labels), ("w'", weights)]);
        let train = ["--nulls", "drop-row", "--features", "x", "--label", name, "-o", "model.json"];
        assert_eq!(run(&place, "train data.parquet --device cpu", &train).code, Some(0), "{name}");
        let text = String::from_utf8(place.read("model.json")).expect("UTF-8");
        fs::write(place.path("model.json"), text.replace("\"nulls\": \"drop-row\",", "")).expect("it is written");
        let mut flags = String::new();
        for fact in ["the label", "the weight"] {
            let evaluate = format!("gpu-logreg evaluate -m model.json data.parquet --weight \"w'\" --json {flags}");
            let refused = in_shell(&place, &evaluate);
            assert_eq!(refused.code, Some(3), "{evaluate}: {refused:?}");
            let error = &refused.json()["error"];
            assert_says(error["message"].as_str().expect("a fact"), &[fact]);
            let (_, condition) = error["help"].as_str().expect("a way out").split_once(": ").expect("a flag");
            let condition = condition.trim_end_matches('.');
            flags = if flags.is_empty() {
                condition.to_owned()
            } else {
                let conditions =
                    [flags.as_str(), condition].map(|flag| flag.strip_prefix("--where ").expect("a condition"));
                // Words of a shell that stand side by side are one.
                format!("--where {}' and '{}", conditions[0], conditions[1])
            };
        }
        let found =
            in_shell(&place, &format!("gpu-logreg evaluate -m model.json data.parquet --weight \"w'\" --json {flags}"));
        assert_eq!(found.code, Some(0), "{flags}: {found:?}");
        assert_eq!(found.json()["metrics"]["rows"], ROWS - 2);
    }
}

// ---- labels that say themselves which class is positive --------------------------------------------------------

#[test]
fn evident_texts_need_no_positive_value() {
    let plain = Place::with_data(&[("y", booleans()), ("x", numbers(1))]).model("data.parquet --label y");
    for pair in [
        ["no", "yes"],
        ["No", "YES"],
        ["false", "true"],
        ["FALSE", "True"],
        ["n", "y"],
        ["N", "Y"],
        ["f", "t"],
        ["0", "1"],
        ["-1", "1"],
    ] {
        let place = Place::with_data(&[("y", texts(pair)), ("x", numbers(1))]);
        let found = model(&place, "", &[]);
        assert_eq!(found["label"]["positive"], pair[1]);
        assert_eq!(found["training"]["positives"], plain["training"]["positives"]);
        assert_eq!(coefficients(&found), coefficients(&plain), "{pair:?}");
        // The other one on request.
        assert_eq!(model(&place, "--positive", &[pair[0]])["label"]["positive"], pair[0]);
    }
    for pair in [["yes", "true"], ["n", "yes"], ["no", "nope"], ["0", "2"], ["yes ", "no"], ["YES", "yes"], ["t", "y"]]
    {
        let place = Place::with_data(&[("y", texts(pair)), ("x", numbers(1))]);
        assert_refused(&place, "train data.parquet --label y", &[], 3, &["not evident"], &["--positive"]);
    }
}

// ---- a split that loses a class --------------------------------------------------------------------------------

#[test]
fn a_split_that_loses_a_class_says_so() {
    for (negative, positive, rare) in [("bad", "good", "fair"), ("0", "1", "2")] {
        let mut seen = [false; 2];
        for seed in 0..20 {
            let label: ArrayRef = Arc::new(
                (0..ROWS)
                    .map(|row| Some(if row == 17 { rare } else { [negative, positive][usize::from(is_positive(row))] }))
                    .collect::<StringArray>(),
            );
            let place = Place::with_data(&[("y", label), ("x", numbers(1))]);
            let found = run(
                &place,
                &format!("train data.parquet --label y --device cpu --split 0.3 --l2 0.1 --seed {seed} --json"),
                &[],
            );
            let document = found.json();
            match found.code {
                Some(3) => {
                    let message = document["error"]["message"].as_str().expect("a fact");
                    assert_says(message, &[&format!("--split 0.3 leaves no row with the label {rare} to train on")]);
                    seen[0] = true;
                }
                Some(0) => {
                    let warnings = document["training"]["warnings"].to_string();
                    assert_says(&warnings, &[&format!("--split 0.3 holds back no row with the label {rare}")]);
                    seen[1] = true;
                }
                _ => panic!("{found:?}"),
            }
        }
        assert_eq!(seen, [true; 2]);
    }
    // Nothing of the kind where both parts have both.
    let place = Place::with_data(&[("y", booleans()), ("x", numbers(1))]);
    assert!(!model(&place, "--split 0.3", &[])["training"]["warnings"].to_string().contains("label"));
}

// ---- files that are no Parquet ---------------------------------------------------------------------------------

#[test]
fn files_of_other_formats_are_named_with_what_makes_parquet_of_them() {
    let files: [(&str, &[u8], &str, &str); 24] = [
        (
            "x.csv",
            b"a,b\n1,2\n",
            "CSV, separated by commas",
            "duckdb -c \"COPY (FROM read_csv('x.csv')) TO 'x.parquet'\"",
        ),
        ("x.tsv", b"a\tb\n1\t2\n", "CSV, separated by tabs", "read_csv('x.tsv')"),
        ("x.txt", b"\xef\xbb\xbfa;b\n1;2\n", "CSV, separated by semicolons", "read_csv('x.txt')"),
        ("x.parquet", b"a\n1\n", "text", "read_csv"),
        ("it's.csv", b"a,b\n", "CSV", "COPY (FROM read_csv('it''s.csv')) TO 'it''s.parquet'"),
        ("$x.csv", b"a,b\n", "CSV", "'COPY (FROM read_csv('\\''$x.csv'\\'')) TO '\\''$x.parquet'\\'''"),
        ("x.json", b" [{\"a\": 1}]\n", "JSON", "read_json('x.json')"),
        ("x.jsonl", b"{\"a\": 1}\n{\"a\": 2}\n", "JSON lines", "read_json('x.jsonl')"),
        ("m.json", b"{\n  \"format\": \"gpu-logreg/model\",", "a model", "--model"),
        (
            "x.feather",
            b"ARROW1\0\0rest",
            "Arrow IPC",
            "pyarrow.feather.read_feather('x.feather').to_parquet('x.parquet')",
        ),
        ("x.feather", b"FEA1rest", "Feather file (version 1)", "pyarrow.feather.read_feather"),
        ("x.csv.gz", b"\x1f\x8b\x08rest", "gzip", "gzip -dc x.csv.gz > x.csv"),
        ("x.csv.zst", b"\x28\xb5\x2f\xfdrest", "zstd", "zstd -dc x.csv.zst > x.csv"),
        ("x.bz2", b"BZh9rest", "bzip2", "bzip2 -dc x.bz2 > x"),
        ("x.parquet", b"\xfd7zXZ\0rest", "an xz file", "xz -dc x.parquet > unpacked.parquet"),
        ("x.zip", b"PK\x03\x04rest", "zip", "unzip x.zip"),
        ("x.xlsx", b"PK\x03\x04....[Content_Types].xml", "Excel", "pandas.read_excel('x.xlsx')"),
        ("x.orc", b"ORCrest", "ORC", "pandas.read_orc"),
        ("x.avro", b"Obj\x01rest", "Avro", "fastavro.reader"),
        ("x.db", b"SQLite format 3\0rest", "SQLite", "sqlite_scan('x.db', 'TABLE')"),
        ("x.h5", b"\x89HDF\r\n\x1a\nrest", "HDF5", "pandas.read_hdf"),
        ("x.npy", b"\x93NUMPY\x01\0rest", "NumPy", "numpy.load('x.npy')"),
        ("x.pkl", b"\x80\x04\x95rest", "pickle", "pandas.read_pickle"),
        ("x.bin", b"PARErest", "a Parquet file with an encrypted footer", "without encryption"),
    ];
    for (name, bytes, what, way_out) in files {
        let place = Place::new();
        fs::write(place.path(name), bytes).expect("the file is written");
        let no_parquet = if bytes.starts_with(b"PARE") { "encrypted" } else { "not a Parquet file" };
        assert_refused(
            &place,
            "train --label y --",
            &[name],
            3,
            &[&format!("{name} is "), what, no_parquet],
            &[way_out],
        );
        if what != "a model" && what != "JSON" {
            assert_refused(&place, "inspect --", &[name], 3, &[what, no_parquet], &[way_out]);
        }
    }
    // What is a Parquet file, if a damaged one, is not called something else.
    let place = Place::with_data(&[("y", booleans()), ("x", numbers(1))]);
    let whole = place.read("data.parquet");
    fs::write(place.path("half.parquet"), &whole[..whole.len() / 2]).expect("it is written");
    assert_refused(&place, "train half.parquet --label y", &[], 3, &["truncated or damaged"], &["again"]);
    fs::write(place.path("empty.parquet"), "").expect("it is written");
    assert_refused(&place, "train empty.parquet --label y", &[], 3, &["empty.parquet is empty"], &["again"]);
    let predict = "predict -m data.parquet data.parquet -o -";
    assert_refused(&place, predict, &[], 3, &["data.parquet is a Parquet file, no model"], &["-o"]);
}

/// A footer that is not encrypted itself says in field 8 by which algorithm the columns are (`parquet.thrift`).
#[test]
fn columns_that_are_encrypted_are_called_so() {
    let place = Place::with_data(&[("y", booleans()), ("x", numbers(1))]);
    let mut bytes = place.read("data.parquet");
    // No page header is one any more.
    bytes[4..40].fill(0xff);
    fs::write(place.path("damaged.parquet"), &bytes).expect("it is written");
    assert_refused(&place, "train damaged.parquet --label y", &[], 3, &["cannot be decoded"], &["damaged"]);
    let end = bytes.len() - 8;
    let length = u32::from_le_bytes(bytes[end..end + 4].try_into().expect("four bytes"));
    // The writer's last field is 7: one further, a struct, in which field 1 is an empty struct. Then the footer ends.
    let algorithm = [0x1c, 0x1c, 0, 0, 0];
    let longer = length + algorithm.len() as u32 - 1;
    let file = [&bytes[..end - 1], &algorithm, &longer.to_le_bytes(), b"PAR1"].concat();
    fs::write(place.path("encrypted.parquet"), file).expect("it is written");
    let fact = ["encrypted.parquet has encrypted columns: "];
    assert_refused(&place, "train encrypted.parquet --label y", &[], 3, &fact, &["without encryption", "--features"]);
}
