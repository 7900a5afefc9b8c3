//! What is asked of odd tables and odd files, a row of a table each: what goes in, with which arguments, and what comes out
//! of it: the answer of an oracle in double precision or of R, on both engines, or a refusal and the words in it.
//!
//! The rows stand in the order of the kinds: what is left out, kept or merged; files that are not what they seem;
//! legitimate input and the words about it; edits that no other check sees.

#[allow(dead_code, reason = "each test file takes the parts that it uses")]
mod common {
    pub(crate) mod process;
    pub(crate) mod random;
}
#[allow(dead_code, reason = "each test file uses its part of the harness")]
mod harness;
#[allow(dead_code, reason = "each test file uses its part of the oracle")]
mod oracle;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, DurationMicrosecondArray, DurationNanosecondArray, Float32Array,
    Float64Array, Int8Array, Int32Array, Int64Array, NullArray, StringArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, UInt32Array, UInt64Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use gpu_logreg::data::{Spec, Table};
use gpu_logreg::engine::Selection;
use gpu_logreg::error::Kind;
use gpu_logreg::monitor::Silent;
use gpu_logreg::train::{Job, train};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::data_type::{BoolType, Int96, Int96Type};
use parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

use common::process::{Place, Run};
use common::random::Random;
use harness::{Check, Suite, close};
use oracle::Rows;

// ---- the table -------------------------------------------------------------------------------------------------

/// A row of the table.
struct Case {
    name: &'static str,
    /// Writes what goes in.
    input: fn(&Place),
    /// What runs before, and must end well.
    before: &'static [&'static [&'static str]],
    /// Changes what the commands before have left.
    edit: fn(&Place),
    arguments: &'static [&'static str],
    expected: Expected,
}

enum Expected {
    /// This exit code, and these words in the message.
    Refused(i32, &'static [&'static str]),
    /// A good end, these words in what is printed, and those nowhere.
    Prints(&'static [&'static str], &'static [&'static str]),
    /// The model of this answer, with these words in the notes.
    Answer(fn() -> Answer, &'static [&'static str]),
    /// The model of this answer, or a refusal with these words.
    AnswerOrRefused(fn() -> Answer, &'static [&'static str]),
    /// What is printed, and the files beside it, pass this.
    Passes(fn(&Place, &Run) -> Check),
}
use Expected::{Answer as Is, AnswerOrRefused as IsOrRefused, Passes, Prints, Refused};

/// Data cannot be used.
const DATA: i32 = 3;

const fn case(name: &'static str, input: fn(&Place), arguments: &'static [&'static str], expected: Expected) -> Case {
    Case { name, input, before: &[], edit: |_| (), arguments, expected }
}

const TRAIN: &[&str] = &["train", "data.parquet", "--label", "y"];
const TRAIN_FOLDER: &[&str] = &["train", "data", "--label", "y"];
const TRAIN_X: &[&str] = &["train", "data.parquet", "--label", "y", "--features", "x"];
const TRAIN_FOLDER_X: &[&str] = &["train", "data", "--label", "y", "--features", "x"];
const SAVE_X: &[&str] = &[
    "train",
    "data.parquet",
    "--label",
    "y",
    "--features",
    "x",
    "--nulls",
    "drop-row",
    "-o",
    "m.json",
    "--device",
    "cpu",
];
const UCB: &[&str] = &["train", "ucb.parquet", "--label", "Admit", "--positive", "Admitted", "--weight", "Freq"];
const NHANES_COUNT: &[&str] = &[
    "train",
    "nhanes_w.parquet",
    "--label",
    "HI_CHOL",
    "--features",
    "race,agecat,RIAGENDR",
    "--categorical",
    "race",
    "--nulls",
    "drop-row",
    "--weight",
    "WTMEC2YR",
    "--inference",
    "--device",
    "cpu",
];
const TRAIN_DURATION: &[&str] = &["train", "data", "--label", "y", "--features", "d"];
const TRAIN_TIME: &[&str] = &["train", "data", "--label", "y", "--features", "t"];
const TRAIN_DROPPING: &[&str] = &["train", "data.parquet", "--label", "y", "--features", "x", "--nulls", "drop-row"];
const WEIGHTED: &[&str] = &["train", "data.parquet", "--label", "y", "--features", "x,g", "--weight", "w"];
const SAVE_VALUE: &[&str] =
    &["train", "one.parquet", "--label", "y", "--features", "value", "-o", "m.json", "--device", "cpu"];
const SAVE_FOLDER: &[&str] = &["train", "data", "--label", "y", "-o", "m.json", "--device", "cpu"];
const PIMA: &[&str] = &[
    "train",
    "pima_offset.parquet",
    "--label",
    "type",
    "--positive",
    "Yes",
    "--features",
    "glu,age",
    "--offset",
    "lp",
    "--inference",
    "--device",
    "cpu",
    "--json",
];

const NHANES_SAMPLING: &[&str] = &[
    "train",
    "nhanes_w.parquet",
    "--label",
    "HI_CHOL",
    "--features",
    "race,agecat,RIAGENDR",
    "--categorical",
    "race",
    "--nulls",
    "drop-row",
    "--weight",
    "WTMEC2YR",
    "--weight-kind",
    "sampling",
    "--inference",
    "--device",
    "cpu",
    "--json",
];

/// The points, each with its rows.
const CASES: &[(u32, &[Case])] = &[
    // What is left out, kept or merged.
    (
        1,
        &[
            case("texts_of_few_levels_are_taken", |place| copied(place, "ucb.parquet"), UCB, Is(ucb, &[])),
            case("texts_of_three_levels_in_28_rows", small_text, TRAIN, Is(of_small_text, &[])),
            case(
                "all_features_by_a_star",
                many_levels,
                &["train", "data.parquet", "--label", "y", "--features", "*"],
                Is(of_many_levels, &[]),
            ),
            case("texts_that_are_left_out_are_a_warning", many_levels, TRAIN, Prints(&["warning", "place"], &[])),
        ],
    ),
    (
        2,
        &[
            case("twins", twins, TRAIN, Refused(DATA, &["two columns", "`value`"])),
            case(
                "twin_by_its_name",
                twins,
                &["train", "data.parquet", "--label", "y", "--features", "x,value"],
                Refused(DATA, &["two columns", "`value`"]),
            ),
            case(
                "twins_ignored",
                twins,
                &["train", "data.parquet", "--label", "y", "--ignore", "value"],
                IsOrRefused(of_x, &["two columns", "`value`"]),
            ),
            case("twins_that_nobody_uses", twins, TRAIN_X, Is(of_x, &[])),
            case("twin_of_the_label", twin_of_the_label, TRAIN, Refused(DATA, &["two columns", "`y`"])),
            case(
                "twin_of_the_label_beside_features",
                twin_of_the_label,
                TRAIN_X,
                Refused(DATA, &["two columns", "`y`"]),
            ),
            Case {
                before: &[SAVE_VALUE],
                ..case(
                    "twin_of_a_model's_feature",
                    |place| {
                        twins(place);
                        let table = base();
                        write(place, "one.parquet", &[("y", table.y()), ("value", table.x())]);
                    },
                    &["evaluate", "data.parquet", "-m", "m.json"],
                    Refused(DATA, &["two columns", "`value`"]),
                )
            },
            case("folder_called_like_a_column", folder_like_a_column, TRAIN_FOLDER, Refused(DATA, &["`k`", "folder"])),
            case("folder_called_like_a_column_that_nobody_uses", folder_like_a_column, TRAIN_FOLDER_X, Is(of_x, &[])),
            case(
                "twins_in_inspect",
                twins,
                &["inspect", "data.parquet"],
                Prints(&["stand for two columns", "value"], &[]),
            ),
            case("names_that_differ_by_case", names_of_two_cases, TRAIN, Is(of_x_and_upper_x, &[])),
        ],
    ),
    (
        3,
        &[
            case(
                "index_of_pandas",
                |place| with_index(place, "__index_level_0__"),
                TRAIN,
                Is(of_x, &["__index_level_0__"]),
            ),
            case("index_with_a_name", |place| with_index(place, "when"), TRAIN, Is(of_x, &["when"])),
            case(
                "index_that_is_asked_for",
                |place| with_index(place, "when"),
                &["train", "data.parquet", "--label", "y", "--features", "x,when"],
                Is(of_x_and_index, &[]),
            ),
            case("index_in_one_of_two_files", index_in_one_file, TRAIN_FOLDER, Is(of_x, &["__index_level_0__"])),
            case("range_that_is_the_index", range_index, TRAIN, Is(of_x_and_k, &[])),
        ],
    ),
    (
        4,
        &[
            case("folders_with_leading_zeros", |place| folders(place, &CODES), TRAIN_FOLDER, Is(of_codes, &[])),
            case(
                "folders_with_leading_zeros_as_categories",
                |place| folders(place, &CODES),
                &["train", "data", "--label", "y", "--features", "x,code", "--categorical", "code"],
                Is(of_codes, &[]),
            ),
            case(
                "folders_of_17_digits",
                |place| folders(place, &LONG_CODES),
                &["train", "data", "--label", "y", "--features", "x,code", "--categorical", "code"],
                Is(of_long_codes, &[]),
            ),
            case("folders_of_numbers", |place| folders(place, &NUMBERS), TRAIN_FOLDER, Is(of_numbers, &[])),
            case("folders_of_numbers_and_letters", |place| folders(place, &ZIPS), TRAIN_FOLDER, Is(of_zips, &[])),
            case("folders_of_exponents", |place| folders(place, &EXPONENTS), TRAIN_FOLDER, Is(of_exponents, &[])),
            case("folders_of_true_and_false", |place| folders(place, &TRUTH), TRAIN_FOLDER, Is(of_truth, &[])),
            case("folders_with_a_nan", |place| folders(place, &["1", "2", "nan"]), TRAIN_FOLDER, Is(of_nan, &[])),
            Case {
                before: &[SAVE_FOLDER],
                ..case(
                    "one_folder_scored",
                    |place| folders(place, &CODES),
                    &["evaluate", "data/code=7", "-m", "m.json", "--json"],
                    Passes(is_as_in_the_whole),
                )
            },
        ],
    ),
    (
        5,
        &[
            case("levels_of_weight_0", levels_of_weight_0, WEIGHTED, Is(of_live_rows, &[])),
            case("missing_at_weight_0", missing_at_weight_0, WEIGHTED, Is(of_live_rows, &[])),
        ],
    ),
    (
        6,
        &[
            case("delta_lake", delta, TRAIN_FOLDER, Refused(DATA, &["Delta", "help:", "name"])),
            case("delta_lake_from_inside", delta, &["train", "data/p=1", "--label", "y"], Refused(DATA, &["Delta"])),
            case("delta_lake_by_a_pattern", delta, &["train", "data/p=*", "--label", "y"], Refused(DATA, &["Delta"])),
            case("iceberg", iceberg, TRAIN_FOLDER, Refused(DATA, &["Iceberg", "help:", "name"])),
            case("iceberg_data", iceberg, &["train", "data/data", "--label", "y"], Refused(DATA, &["Iceberg"])),
            case("hudi", hudi, TRAIN_FOLDER, Refused(DATA, &["Hudi", "help:", "name"])),
            case("file_of_hudi", hudi, &["train", "data/1.parquet", "--label", "y"], Is(of_x, &[])),
            case("file_of_delta_lake", delta, &["train", "data/p=1/1.parquet", "--label", "y"], Is(of_x, &[])),
        ],
    ),
    (
        7,
        &[
            case(
                "sampling_weights",
                |place| copied(place, "nhanes_w.parquet"),
                NHANES_SAMPLING,
                Passes(race_2_is_as_svyglm_says),
            ),
            case(
                "sampling_weights_as_counts",
                |place| copied(place, "nhanes_w.parquet"),
                NHANES_COUNT,
                Prints(&["warning", "WTMEC2YR", "sampling"], &[]),
            ),
            case(
                "weights_and_offsets_stand_in_the_table",
                weights_and_offsets,
                &["train", "data.parquet", "--label", "y", "--features", "x", "--weight", "w", "--offset", "o"],
                Passes(names_weights_and_offsets),
            ),
        ],
    ),
    // Files that are not what they seem.
    (
        8,
        &[
            case("more_rows_than_the_footer_says", excess, TRAIN, Refused(DATA, &["data.parquet", "damaged"])),
            Case {
                before: &[&["train", "whole.parquet", "--label", "y", "-o", "m.json", "--device", "cpu"]],
                ..case(
                    "more_rows_than_the_footer_says_to_predict",
                    excess,
                    &["predict", "data.parquet", "-m", "m.json", "-o", "p.csv"],
                    Refused(DATA, &["data.parquet", "damaged"]),
                )
            },
        ],
    ),
    (
        9,
        &[
            case("file_replaced", |_| (), &["--version"], Passes(|place, _| replaced_file(place, true))),
            case("file_overwritten", |_| (), &["--version"], Passes(|place, _| replaced_file(place, false))),
        ],
    ),
    (
        10,
        &[
            case(
                "int96_up_to_the_year_9890",
                int96,
                &["train", "data.parquet", "--label", "y", "--features", "t"],
                IsOrRefused(of_far_times, &["`t`", "INT96"]),
            ),
            case("durations_of_two_units", durations, TRAIN_DURATION, Is(of_seconds, &[])),
            case(
                "labels_above_2^53",
                long_labels,
                &["train", "data.parquet", "--label", "y", "--positive", "9007199254740993"],
                IsOrRefused(of_x, &["`y`", "2^53"]),
            ),
            case(
                "levels_above_2^53",
                long_levels,
                &["train", "data.parquet", "--label", "y", "--features", "x,code", "--categorical", "code"],
                IsOrRefused(of_long_codes, &["`code`", "2^53"]),
            ),
        ],
    ),
    (
        11,
        &[
            case("value_above_the_maximum", above_the_maximum, TRAIN, Refused(DATA, &["data.parquet", "damaged"])),
            case("another_count_of_nulls", other_nulls, TRAIN_DROPPING, Refused(DATA, &["data.parquet", "damaged"])),
            case("no_checksums_in_inspect", plain, &["inspect", "data.parquet"], Prints(&["checksums  none"], &[])),
            case(
                "no_checksums_at_length",
                plain,
                &["train", "data.parquet", "--label", "y", "-v", "--device", "cpu"],
                Prints(&["pages without checksums"], &[]),
            ),
            case(
                "no_checksums_in_the_model",
                plain,
                &["train", "data.parquet", "--label", "y", "--device", "cpu", "--json"],
                Passes(files_have_no_checksums),
            ),
        ],
    ),
    (
        12,
        &[
            Case {
                before: &[SAVE_X],
                ..case(
                    "rows_without_a_prediction",
                    with_a_null,
                    &["predict", "nulls.parquet", "-m", "m.json", "-o", "p.csv"],
                    Passes(no_line_is_empty),
                )
            },
            Case {
                before: &[SAVE_X],
                edit: |place| {
                    edited_model(place, "null.json", null_coefficient);
                },
                ..case(
                    "model_with_a_null",
                    plain,
                    &["predict", "data.parquet", "-m", "null.json", "-o", "p.csv"],
                    Refused(DATA, &["null", "`x`"]),
                )
            },
            Case {
                before: &[SAVE_X],
                edit: |place| edited_model(place, "twice.json", feature_twice),
                ..case(
                    "model_with_a_feature_twice",
                    plain,
                    &["predict", "data.parquet", "-m", "twice.json", "-o", "p.csv"],
                    Refused(DATA, &["twice.json", "`x`"]),
                )
            },
        ],
    ),
    // Legitimate input.
    (
        13,
        &[
            case("integers_of_two_widths", |place| halves(place, Half::Ints), TRAIN_FOLDER, Is(of_k, &[])),
            case("integers_and_floats", |place| halves(place, Half::IntFloat), TRAIN_FOLDER, Is(of_k, &[])),
            case("integers_of_two_signs", |place| halves(place, Half::Signs), TRAIN_FOLDER, Is(of_k, &[])),
            case("floats_of_two_widths", |place| halves(place, Half::Floats), TRAIN_FOLDER, Is(of_x, &[])),
            case("decimals_of_two_precisions", |place| halves(place, Half::Precisions), TRAIN_FOLDER, Is(of_k, &[])),
            case("decimals_of_two_scales", |place| halves(place, Half::Scales), TRAIN_FOLDER, Is(of_k, &[])),
            case("times_of_two_units", |place| halves(place, Half::Times), TRAIN_TIME, Is(of_times, &[])),
            case("labels_of_two_types", |place| halves(place, Half::Labels), TRAIN_FOLDER, Is(of_x, &[])),
            case("order_of_columns", |place| halves(place, Half::Order), TRAIN_FOLDER, Is(of_x_and_k, &[])),
            case("columns_of_nulls", |place| halves(place, Half::Nulls), TRAIN_FOLDER_X, Is(of_x, &[])),
            case(
                "columns_of_nulls_dropped",
                |place| halves(place, Half::Nulls),
                &["train", "data", "--label", "y", "--features", "x,k", "--nulls", "drop-row"],
                Is(of_first_half, &[]),
            ),
            case("columns_that_nobody_uses", |place| halves(place, Half::Unused), TRAIN_FOLDER_X, Is(of_x, &[])),
            case("column_that_one_file_lacks", |place| halves(place, Half::Lacking), TRAIN_FOLDER_X, Is(of_x, &[])),
            case("types_that_do_not_agree", |place| halves(place, Half::Texts), TRAIN_FOLDER, Refused(DATA, &["`k`"])),
            Case {
                before: &[SAVE_X],
                ..case(
                    "predictions_of_no_rows",
                    without_rows,
                    &["predict", "none.parquet", "-m", "m.json", "-o", "p.csv"],
                    Passes(|place, _| lines(place, "p.csv", 1)),
                )
            },
            case("inspection_of_no_rows", without_rows, &["inspect", "none.parquet"], Prints(&["rows       0"], &[])),
            case(
                "training_on_no_rows",
                without_rows,
                &["train", "none.parquet", "--label", "y"],
                Refused(DATA, &["no rows"]),
            ),
            case(
                "names_with_commas",
                odd_names,
                &["train", "data.parquet", "--label", "y", "--features", "\"a,b\",\" c \""],
                Is(of_odd_names, &[]),
            ),
            case(
                "names_with_commas_left_out",
                odd_names,
                &["train", "data.parquet", "--label", "y", "--ignore", "\"a,b\",\" c \",d"],
                Is(of_x, &[]),
            ),
            case(
                "quoted_in_the_list_of_names",
                odd_names,
                &["train", "data.parquet", "--label", "y", "--features", "absent"],
                Refused(DATA, &["absent", "\"a,b\""]),
            ),
            Case {
                before: &[SAVE_X],
                ..case(
                    "pattern_that_keeps_nothing",
                    plain,
                    &["predict", "data.parquet", "-m", "m.json", "-o", "p.csv", "--keep", "x,zz*"],
                    Refused(DATA, &["zz*"]),
                )
            },
            Case {
                before: &[SAVE_X],
                ..case(
                    "pattern_to_keep",
                    plain,
                    &["predict", "data.parquet", "-m", "m.json", "-o", "p.csv", "--keep", "?"],
                    Passes(|place, _| begins(place, "p.csv", "y,x,k,g,")),
                )
            },
            case("encrypted", |place| bytes(place, b"PARE...", b"PARE"), TRAIN, Refused(DATA, &["encrypted"])),
            case("csv", |place| bytes(place, b"y,x\n0,1.5\n1,2.5\n", b""), TRAIN, Refused(DATA, &["CSV", "help:"])),
            case(
                "json",
                |place| bytes(place, b"{\"y\": 0, \"x\": 1.5}\n", b""),
                TRAIN,
                Refused(DATA, &["JSON", "help:"]),
            ),
            case("feather", |place| bytes(place, b"ARROW1\0\0", b"ARROW1"), TRAIN, Refused(DATA, &["Arrow", "help:"])),
            case(
                "gzip",
                |place| bytes(place, b"\x1f\x8b\x08\0\0\0\0\0", b""),
                TRAIN,
                Refused(DATA, &["gzip", "help:"]),
            ),
        ],
    ),
    (
        14,
        &[
            case("null_deviance_with_an_offset", |place| copied(place, "pima_offset.parquet"), PIMA, Passes(pima)),
            case(
                "intercept_alone",
                plain,
                &["train", "data.parquet", "--label", "y", "--features", ""],
                Is(of_nothing, &[]),
            ),
            case("yes_and_no", |place| label_of_texts(place, "no", "yes"), TRAIN_X, Is(of_x, &[])),
            case("true_and_false", |place| label_of_texts(place, "false", "true"), TRAIN_X, Is(of_x, &[])),
            case("0_and_1_as_texts", |place| label_of_texts(place, "0", "1"), TRAIN_X, Is(of_x, &[])),
            case("n_and_y", |place| label_of_texts(place, "n", "y"), TRAIN_X, Is(of_x, &[])),
            case(
                "suggestion_that_runs",
                |place| label_of_texts(place, "<=50K", ">50K"),
                TRAIN_X,
                Refused(DATA, &["--positive '>50K'"]),
            ),
        ],
    ),
    (
        15,
        &[
            case("name_nearby", plain, &["train", "data.parquet", "--label", "Y"], Refused(DATA, &["did you mean y?"])),
            case(
                "name_of_a_weight_nearby",
                weights_and_offsets,
                &["train", "data.parquet", "--label", "y", "--weight", "W"],
                Refused(DATA, &["did you mean w?"]),
            ),
            case(
                "split_that_loses_a_class",
                one_positive,
                &["train", "data.parquet", "--label", "y", "--features", "x", "--split", "0.9"],
                Refused(DATA, &["--split"]),
            ),
            case(
                "blanks_in_levels",
                blanks,
                &["train", "data.parquet", "--label", "y", "--device", "cpu"],
                Passes(blanks_are_visible),
            ),
        ],
    ),
    // Edits that no other check saw.
    (
        16,
        &[
            case("the_very_threshold", threshold, &["--version"], Passes(|place, _| threshold_is_positive(place))),
            case(
                "row_of_the_file_under_a_condition",
                with_a_hole,
                &["train", "data.parquet", "--label", "y", "--features", "x", "--where", "k >= 50"],
                Passes(|_, run| named_by_the_file(run)),
            ),
        ],
    ),
];

// ---- what goes in ----------------------------------------------------------------------------------------------

const ROWS: usize = 400;

/// Columns of which the others are made.
struct Base {
    x: Vec<f64>,
    /// Whole numbers from 0 to 99.
    k: Vec<i64>,
    /// One of three levels.
    g: Vec<&'static str>,
    y: Vec<bool>,
}

fn base() -> Base {
    let mut random = Random(16);
    let x: Vec<f64> = (0..ROWS).map(|_| (random.unit() * 4_096.0).floor() / 1_024.0 - 2.0).collect();
    let k: Vec<i64> = (0..ROWS).map(|_| (random.unit() * 100.0) as i64).collect();
    let g: Vec<&str> = (0..ROWS).map(|_| ["u", "v", "w"][(random.unit() * 3.0) as usize]).collect();
    let odds = |row: usize| 0.8 * x[row] + 0.02 * (k[row] - 50) as f64 + if g[row] == "v" { 0.7 } else { -0.2 };
    let y = (0..ROWS).map(|row| random.unit() < 1.0 / (1.0 + (-odds(row)).exp())).collect();
    Base { x, k, g, y }
}

impl Base {
    fn x(&self) -> ArrayRef {
        Arc::new(Float64Array::from(self.x.clone()))
    }

    fn k(&self) -> ArrayRef {
        Arc::new(Int64Array::from(self.k.clone()))
    }

    fn g(&self) -> ArrayRef {
        Arc::new(StringArray::from(self.g.clone()))
    }

    fn y(&self) -> ArrayRef {
        Arc::new(BooleanArray::from(self.y.clone()))
    }
}

/// Writes columns, in row groups of 150 rows, in folders that are made.
fn write(place: &Place, name: &str, columns: &[(&str, ArrayRef)]) {
    let path = place.path(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
    let about = |name: &str, array: &ArrayRef| {
        let nullable = array.null_count() > 0 || *array.data_type() == DataType::Null;
        Field::new(name, array.data_type().clone(), nullable)
    };
    let fields: Vec<Field> = columns.iter().map(|(name, array)| about(name, array)).collect();
    let arrays = columns.iter().map(|(_, array)| array.clone()).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns of one length");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(150)).build();
    let file = fs::File::create(path).expect("the file is created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a schema for Parquet");
    writer.write(&batch).expect("the rows are written");
    writer.close().expect("the footer is written");
}

/// These rows of the columns.
fn rows_of<'n>(columns: &[(&'n str, ArrayRef)], rows: impl IntoIterator<Item = usize>) -> Vec<(&'n str, ArrayRef)> {
    let rows = UInt32Array::from_iter_values(rows.into_iter().map(|row| row as u32));
    columns.iter().map(|(name, array)| (*name, take(array, &rows, None).expect("rows that are there"))).collect()
}

fn of_r(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/r")).join(name)
}

fn copied(place: &Place, name: &str) {
    fs::copy(of_r(name), place.path(name)).expect("the file is copied");
}

fn bytes(place: &Place, head: &[u8], tail: &[u8]) {
    fs::write(place.path("data.parquet"), [head, &[b' '; 64], tail].concat()).expect("the file is written");
}

fn plain(place: &Place) {
    let table = base();
    write(place, "data.parquet", &[("y", table.y()), ("x", table.x()), ("k", table.k()), ("g", table.g())]);
}

fn edited_model(place: &Place, name: &str, change: impl FnOnce(&mut Value)) {
    let mut model = serde_json::from_slice(&place.read("m.json")).expect("the model is JSON");
    change(&mut model);
    fs::write(place.path(name), model.to_string()).expect("the model is written");
}

fn null_coefficient(model: &mut Value) {
    model["features"][0]["coefficient"] = Value::Null;
}

fn feature_twice(model: &mut Value) {
    let feature = model["features"][0].clone();
    model["features"].as_array_mut().expect("a list").push(feature);
}

/// The first 28 rows, with three levels.
fn small_text(place: &Place) {
    let table = base();
    write(place, "data.parquet", &rows_of(&[("y", table.y()), ("x", table.x()), ("g", table.g())], 0..28));
}

/// 25 levels of 8 rows each, in each of which both classes occur.
fn places() -> (Vec<String>, Vec<f64>, Vec<bool>) {
    let table = base();
    let place = (0..200).map(|row| format!("p{:02}", row % 25)).collect();
    let y = (0..200).map(|row| if row < 50 { row >= 25 } else { table.y[row] }).collect();
    (place, table.x[..200].to_vec(), y)
}

fn many_levels(place: &Place) {
    let (levels, x, y) = places();
    let columns: [(&str, ArrayRef); 3] = [
        ("y", Arc::new(BooleanArray::from(y))),
        ("x", Arc::new(Float64Array::from(x))),
        ("place", Arc::new(StringArray::from(levels))),
    ];
    write(place, "data.parquet", &columns);
}

fn twins(place: &Place) {
    let table = base();
    let columns = [("y", table.y()), ("x", table.x()), ("value", table.k()), ("value", table.x())];
    write(place, "data.parquet", &columns);
}

fn twin_of_the_label(place: &Place) {
    let table = base();
    let other: ArrayRef = Arc::new(table.y.iter().map(|y| Some(!y)).collect::<BooleanArray>());
    write(place, "data.parquet", &[("y", table.y()), ("y", other), ("x", table.x()), ("k", table.k())]);
}

fn folder_like_a_column(place: &Place) {
    let table = base();
    let columns = [("y", table.y()), ("x", table.x()), ("k", table.k())];
    for (half, key) in [(0..ROWS / 2, 1), (ROWS / 2..ROWS, 2)] {
        write(place, &format!("data/k={key}/p.parquet"), &rows_of(&columns, half));
    }
}

fn names_of_two_cases(place: &Place) {
    let table = base();
    write(place, "data.parquet", &[("y", table.y()), ("x", table.x()), ("X", table.k())]);
}

/// Writes columns as pandas does, with an entry in the footer about the index of the frame.
fn write_as_pandas(place: &Place, name: &str, columns: &[(&str, ArrayRef)], index: &Value) {
    let path = place.path(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).expect("columns of one length");
    // As pandas 2 writes it, but for the list of the columns.
    let entry = json!({ "index_columns": [index], "column_indexes": [], "columns": [], "pandas_version": "2.2.3" });
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(vec![KeyValue::new("pandas".into(), entry.to_string())]))
        .build();
    let file = fs::File::create(path).expect("the file is created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a schema for Parquet");
    writer.write(&batch).expect("the rows are written");
    writer.close().expect("the footer is written");
}

/// The places of the rows in another order, which say something about the label.
fn index() -> Vec<i64> {
    let table = base();
    (0..ROWS).map(|row| (row as i64 * 7) % 400 + if table.y[row] { 100 } else { 0 }).collect()
}

fn with_index(place: &Place, name: &str) {
    let table = base();
    let index: ArrayRef = Arc::new(Int64Array::from(index()));
    write_as_pandas(place, "data.parquet", &[("y", table.y()), ("x", table.x()), (name, index)], &json!(name));
}

fn index_in_one_file(place: &Place) {
    let table = base();
    let name = "__index_level_0__";
    let index: ArrayRef = Arc::new(Int64Array::from(index()));
    let columns = [("y", table.y()), ("x", table.x()), (name, index)];
    write_as_pandas(place, "data/1.parquet", &rows_of(&columns, 0..250), &json!(name));
    let range = json!({ "kind": "range", "name": null, "start": 0, "stop": 150, "step": 1 });
    write_as_pandas(place, "data/0.parquet", &rows_of(&columns[..2], 250..ROWS), &range);
}

fn range_index(place: &Place) {
    let table = base();
    let range = json!({ "kind": "range", "name": null, "start": 0, "stop": 400, "step": 1 });
    write_as_pandas(place, "data.parquet", &[("y", table.y()), ("x", table.x()), ("k", table.k())], &range);
}

const CODES: [&str; 3] = ["007", "07", "7"];
/// One beyond 2^53 apart.
const LONG_CODES: [&str; 2] = ["9007199254740992", "9007199254740993"];
const ZIPS: [&str; 3] = ["01001", "11164", "2A001"];
const EXPONENTS: [&str; 3] = ["1e5", "1e6", "2e5"];
const TRUTH: [&str; 2] = ["false", "true"];
const NUMBERS: [&str; 3] = ["1", "2", "10"];

/// `x` and the label, in a folder for each code, the rows by their level.
fn folders(place: &Place, codes: &[&str]) {
    let table = base();
    for (code, rows) in codes.iter().zip(rows_by_code(codes.len())) {
        let columns = rows_of(&[("y", table.y()), ("x", table.x())], rows);
        write(place, &format!("data/code={code}/p.parquet"), &columns);
    }
}

/// The rows of each of so many codes, by the levels of `g`.
fn rows_by_code(codes: usize) -> Vec<Vec<usize>> {
    let table = base();
    let code = |row: usize| (table.g[row].as_bytes()[0] - b'u') as usize % codes;
    (0..codes).map(|wanted| (0..ROWS).filter(|row| code(*row) == wanted).collect()).collect()
}

/// Rows of weight 0 have levels of their own, before and behind the others, and values of another size.
fn dead_rows(missing: bool) -> Vec<(&'static str, ArrayRef)> {
    let table = base();
    let dead = |row: usize| row % 4 == 3;
    let x = |row: usize| match (dead(row), missing) {
        (true, true) => None,
        (true, false) => Some(1e6 * table.x[row]),
        _ => Some(table.x[row]),
    };
    let g = |row: usize| match (dead(row), missing) {
        (true, true) => None,
        (true, false) => Some(["a", "z"][row % 8 / 4]),
        _ => Some(table.g[row]),
    };
    let w = |row: usize| if dead(row) { 0 } else { 1 + (row % 3) as i32 };
    vec![
        ("y", table.y()),
        ("x", Arc::new((0..ROWS).map(x).collect::<Float64Array>())),
        ("g", Arc::new((0..ROWS).map(g).collect::<StringArray>())),
        ("w", Arc::new((0..ROWS).map(|row| Some(w(row))).collect::<Int32Array>())),
    ]
}

fn levels_of_weight_0(place: &Place) {
    write(place, "data.parquet", &dead_rows(false));
}

fn missing_at_weight_0(place: &Place) {
    write(place, "data.parquet", &dead_rows(true));
}

/// `x` and the label, and the same with the opposite label, which the table's log has deleted.
fn with_a_deleted_file(place: &Place, live: &str, deleted: &str) {
    let table = base();
    let opposite: ArrayRef = Arc::new(table.y.iter().map(|y| Some(!y)).collect::<BooleanArray>());
    write(place, live, &[("y", table.y()), ("x", table.x())]);
    write(place, deleted, &[("y", opposite), ("x", table.x())]);
}

/// A file of notes, in folders that are made.
fn notes(place: &Place, name: &str, text: &str) {
    let path = place.path(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
    fs::write(path, text).expect("the file is written");
}

fn delta(place: &Place) {
    with_a_deleted_file(place, "data/p=1/1.parquet", "data/p=1/0.parquet");
    let log = json!({ "remove": { "path": "p=1/0.parquet", "dataChange": true } });
    notes(place, "data/_delta_log/00000000000000000001.json", &log.to_string());
}

fn iceberg(place: &Place) {
    with_a_deleted_file(place, "data/data/1.parquet", "data/data/0.parquet");
    notes(place, "data/metadata/v2.metadata.json", "{\"format-version\": 2}");
}

fn hudi(place: &Place) {
    with_a_deleted_file(place, "data/1.parquet", "data/0.parquet");
    notes(place, "data/.hoodie/hoodie.properties", "hoodie.table.name=t");
}

fn offset(row: usize) -> f64 {
    (row % 16) as f64 / 16.0 - 0.5
}

fn weights_and_offsets(place: &Place) {
    let table = base();
    let columns: [(&str, ArrayRef); 4] = [
        ("y", table.y()),
        ("x", table.x()),
        ("w", Arc::new((0..ROWS).map(|row| Some(1 + (row % 3) as i32)).collect::<Int32Array>())),
        ("o", Arc::new((0..ROWS).map(|row| Some(offset(row))).collect::<Float64Array>())),
    ];
    write(place, "data.parquet", &columns);
}

// ---- edited footers --------------------------------------------------------------------------------------------

/// Writes `x` and the label without a dictionary and compression.
fn write_bare(place: &Place, name: &str, x: ArrayRef, groups: &[usize]) {
    let table = base();
    let batch = RecordBatch::try_from_iter([("y", table.y()), ("x", x)]).expect("columns of one length");
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_compression(Compression::UNCOMPRESSED)
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let file = fs::File::create(place.path(name)).expect("the file is created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a schema for Parquet");
    let mut first = 0;
    for rows in groups {
        writer.write(&batch.slice(first, *rows)).expect("the rows are written");
        writer.flush().expect("a row group ends");
        first += rows;
    }
    writer.close().expect("the footer is written");
}

/// Puts what `change` makes of a file's footer in its place.
fn edit_footer(place: &Place, name: &str, change: impl FnOnce(ParquetMetaData) -> ParquetMetaData) {
    let bytes = place.read(name);
    let size = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().expect("four bytes")) as usize;
    let start = bytes.len() - 8 - size;
    let footer = ParquetMetaDataReader::decode_metadata(&bytes[start..start + size]).expect("a footer");
    let mut edited = bytes[..start].to_vec();
    ParquetMetaDataWriter::new(&mut edited, &change(footer)).finish().expect("the footer is written");
    fs::write(place.path(name), edited).expect("the file is written");
}

/// Row groups of 200 and 100 rows, of which the footer says that they have 100 each; and the same as it was.
fn excess(place: &Place) {
    for name in ["data.parquet", "whole.parquet"] {
        write_bare(place, name, base().x(), &[200, 100]);
    }
    edit_footer(place, "data.parquet", |footer| {
        let about = footer.file_metadata();
        let about = FileMetaData::new(
            about.version(),
            200,
            about.created_by().map(ToOwned::to_owned),
            about.key_value_metadata().cloned(),
            about.schema_descr_ptr(),
            about.column_orders().cloned(),
        );
        let groups = footer.row_groups().iter().map(|group| {
            let columns = group
                .columns()
                .iter()
                .map(|column| column.clone().into_builder().set_num_values(100).build().expect("a column"));
            let builder = group.clone().into_builder().set_num_rows(100).set_column_metadata(columns.collect());
            builder.build().expect("a row group")
        });
        ParquetMetaData::new(about, groups.collect())
    });
}

/// The bytes of one value, which stands there once, made another's, in a file without checksums.
fn above_the_maximum(place: &Place) {
    write_bare(place, "data.parquet", base().x(), &[ROWS]);
    let mut bytes = place.read("data.parquet");
    let value = base().x[5].to_le_bytes();
    let at = bytes.windows(8).position(|window| window == value).expect("the value is there");
    bytes[at..at + 8].copy_from_slice(&1e3_f64.to_le_bytes());
    fs::write(place.path("data.parquet"), bytes).expect("the file is written");
}

/// The footer says that there are two nulls more than there are.
fn other_nulls(place: &Place) {
    let x: ArrayRef = Arc::new((0..ROWS).map(|row| (row % 10 > 0).then(|| base().x[row])).collect::<Float64Array>());
    write_bare(place, "data.parquet", x, &[ROWS]);
    edit_footer(place, "data.parquet", |footer| {
        let group = footer.row_group(0);
        let mut columns = group.columns().to_vec();
        let Some(Statistics::Double(known)) = columns[1].statistics() else { panic!("statistics of x") };
        let statistics = Statistics::double(known.min_opt().copied(), known.max_opt().copied(), None, Some(42), false);
        columns[1] = columns[1].clone().into_builder().set_statistics(statistics).build().expect("a column");
        let group = group.clone().into_builder().set_column_metadata(columns).build().expect("a row group");
        ParquetMetaData::new(footer.file_metadata().clone(), vec![group])
    });
}

/// The moments of [`int96`]: from 1970 to the last century before the year 10000, which nanoseconds in 64 bits do not hold.
fn far_times() -> Vec<f64> {
    base().k.iter().map(|k| 2_524_608_000.0 * *k as f64 + 86_399.0).collect()
}

/// Times as Spark writes them.
fn int96(place: &Place) {
    let schema = parse_message_type("message m { required boolean y; required int96 t; }").expect("a schema");
    let file = fs::File::create(place.path("data.parquet")).expect("the file is created");
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::default()).expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    let mut column = group.next_column().expect("a column").expect("y");
    column.typed::<BoolType>().write_batch(&base().y, None, None).expect("the label is written");
    column.close().expect("the column ends");
    let times: Vec<Int96> = far_times()
        .into_iter()
        .map(|seconds| {
            // Nanoseconds of the day, and the Julian day; that of 1970-01-01 is 2440588.
            let (day, second) = ((seconds / 86_400.0).floor(), seconds.rem_euclid(86_400.0));
            let nanoseconds = second as u64 * 1_000_000_000;
            let mut time = Int96::new();
            time.set_data(nanoseconds as u32, (nanoseconds >> 32) as u32, day as u32 + 2_440_588);
            time
        })
        .collect();
    let mut column = group.next_column().expect("a column").expect("t");
    column.typed::<Int96Type>().write_batch(&times, None, None).expect("the times are written");
    column.close().expect("the column ends");
    group.close().expect("the row group ends");
    writer.close().expect("the footer is written");
}

fn durations(place: &Place) {
    let table = base();
    let nano: ArrayRef = Arc::new(DurationNanosecondArray::from_iter_values(table.k.iter().map(|k| k * 1_000_000_000)));
    let micro: ArrayRef = Arc::new(DurationMicrosecondArray::from_iter_values(table.k.iter().map(|k| k * 1_000_000)));
    write(place, "data/0.parquet", &rows_of(&[("y", table.y()), ("d", nano)], 0..ROWS / 2));
    write(place, "data/1.parquet", &rows_of(&[("y", table.y()), ("d", micro)], ROWS / 2..ROWS));
}

fn long_labels(place: &Place) {
    let table = base();
    let y: ArrayRef = Arc::new(UInt64Array::from_iter_values(table.y.iter().map(|y| (1 << 53) + u64::from(*y))));
    write(place, "data.parquet", &[("y", y), ("x", table.x())]);
}

fn long_levels(place: &Place) {
    let table = base();
    let mut code = vec![1_u64 << 53; ROWS];
    for row in &rows_by_code(2)[1] {
        code[*row] += 1;
    }
    let code: ArrayRef = Arc::new(UInt64Array::from(code));
    write(place, "data.parquet", &[("y", table.y()), ("x", table.x()), ("code", code)]);
}

// ---- two files of one table ------------------------------------------------------------------------------------

/// In what two files of one table differ.
#[derive(Clone, Copy)]
enum Half {
    Ints,
    IntFloat,
    Signs,
    Floats,
    Precisions,
    Scales,
    Times,
    Labels,
    Order,
    Nulls,
    Unused,
    Lacking,
    Texts,
}

fn halves(place: &Place, half: Half) {
    let table = base();
    let decimal = |precision: u8, scale: i8| -> ArrayRef {
        let values =
            Decimal128Array::from_iter_values(table.k.iter().map(|k| i128::from(*k) * 10_i128.pow(scale as u32)));
        Arc::new(values.with_precision_and_scale(precision, scale).expect("digits enough"))
    };
    let ints =
        |of: fn(i64) -> i32| -> ArrayRef { Arc::new(Int32Array::from_iter_values(table.k.iter().map(|k| of(*k)))) };
    let floats: ArrayRef = Arc::new(Float64Array::from_iter_values(table.k.iter().map(|k| *k as f64)));
    let single: ArrayRef = Arc::new(Float32Array::from_iter_values(table.x.iter().map(|x| *x as f32)));
    let unsigned: ArrayRef = Arc::new(UInt64Array::from_iter_values(table.k.iter().map(|k| *k as u64)));
    let milli: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter_values(table.k.iter().map(|k| k * 1_000)));
    let micro: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(table.k.iter().map(|k| k * 1_000_000)));
    let small: ArrayRef = Arc::new(table.y.iter().map(|y| Some(i8::from(*y))).collect::<Int8Array>());
    let null: ArrayRef = Arc::new(NullArray::new(ROWS));
    let (x, k, g, y) = (table.x(), table.k(), table.g(), table.y());
    let [first, second]: [Vec<(&str, ArrayRef)>; 2] = match half {
        Half::Ints => [vec![("y", y.clone()), ("k", ints(|k| k as i32))], vec![("y", y), ("k", k)]],
        Half::IntFloat => [vec![("y", y.clone()), ("k", k)], vec![("y", y), ("k", floats)]],
        Half::Signs => [vec![("y", y.clone()), ("k", unsigned)], vec![("y", y), ("k", ints(|k| k as i32))]],
        Half::Floats => [vec![("y", y.clone()), ("x", single)], vec![("y", y), ("x", x)]],
        Half::Precisions => [vec![("y", y.clone()), ("k", decimal(7, 3))], vec![("y", y), ("k", decimal(18, 3))]],
        Half::Scales => [vec![("y", y.clone()), ("k", decimal(9, 5))], vec![("y", y), ("k", decimal(9, 3))]],
        Half::Times => [vec![("y", y.clone()), ("t", milli)], vec![("y", y), ("t", micro)]],
        Half::Labels => [vec![("y", y), ("x", x.clone())], vec![("y", small), ("x", x)]],
        Half::Order => [vec![("y", y.clone()), ("x", x.clone()), ("k", k.clone())], vec![("k", k), ("x", x), ("y", y)]],
        Half::Nulls => [vec![("y", y.clone()), ("x", x.clone()), ("k", k)], vec![("y", y), ("x", x), ("k", null)]],
        Half::Unused => [vec![("y", y.clone()), ("x", x.clone()), ("u", k)], vec![("y", y), ("x", x), ("u", g)]],
        Half::Lacking => [vec![("y", y.clone()), ("x", x.clone()), ("u", k)], vec![("y", y), ("x", x)]],
        Half::Texts => [vec![("y", y.clone()), ("k", k)], vec![("y", y), ("k", g)]],
    };
    write(place, "data/0.parquet", &rows_of(&first, 0..ROWS / 2));
    write(place, "data/1.parquet", &rows_of(&second, ROWS / 2..ROWS));
}

/// `data.parquet`, and the same columns without rows.
fn without_rows(place: &Place) {
    plain(place);
    let table = base();
    write(place, "none.parquet", &rows_of(&[("y", table.y()), ("x", table.x())], []));
}

/// `data.parquet`, and `nulls.parquet` in which every third `x` is missing.
fn with_a_null(place: &Place) {
    plain(place);
    let x = base().x.into_iter().enumerate().map(|(row, x)| (row % 3 > 0).then_some(x));
    write(place, "nulls.parquet", &[("x", Arc::new(x.collect::<Float64Array>()))]);
}

/// The first row that counts under a condition, with nothing in `x`.
const HOLE: usize = 123;

fn with_a_hole(place: &Place) {
    let table = base();
    let x = table.x.iter().enumerate().map(|(row, x)| (row != HOLE).then_some(*x));
    let k = (0..ROWS).map(|row| if row < HOLE { 0 } else { 50 + row as i64 });
    let columns: [(&str, ArrayRef); 3] = [
        ("y", table.y()),
        ("x", Arc::new(x.collect::<Float64Array>())),
        ("k", Arc::new(Int64Array::from_iter_values(k))),
    ];
    write(place, "data.parquet", &columns);
}

fn odd_names(place: &Place) {
    let table = base();
    let d = table.x.iter().zip(&table.k).map(|(x, k)| x * *k as f64);
    let columns = [
        ("y", table.y()),
        ("x", table.x()),
        ("a,b", table.k()),
        (" c ", table.g()),
        ("d", Arc::new(Float64Array::from_iter_values(d)) as _),
    ];
    write(place, "data.parquet", &columns);
}

fn label_of_texts(place: &Place, negative: &str, positive: &str) {
    let table = base();
    let y: ArrayRef =
        Arc::new(table.y.iter().map(|y| Some(if *y { positive } else { negative })).collect::<StringArray>());
    write(place, "data.parquet", &[("y", y), ("x", table.x())]);
}

fn one_positive(place: &Place) {
    let table = base();
    let y: ArrayRef = Arc::new((0..ROWS).map(|row| Some(row == 7)).collect::<BooleanArray>());
    write(place, "data.parquet", &[("y", y), ("x", table.x())]);
}

/// Levels that differ by a blank.
fn blanks(place: &Place) {
    let table = base();
    let g: ArrayRef =
        Arc::new(table.g.iter().map(|g| Some(if *g == "u" { "b" } else { "b " })).collect::<StringArray>());
    write(place, "data.parquet", &[("y", table.y()), ("x", table.x()), ("g", g)]);
}

fn threshold(place: &Place) {
    let table = base();
    write(place, "data.parquet", &[("y", table.y()), ("x", table.x())]);
    let y: ArrayRef = Arc::new(BooleanArray::from(vec![true, true, true, false]));
    write(place, "at.parquet", &[("y", y), ("x", Arc::new(Float64Array::from(vec![0.0; 4])))]);
}

// ---- what comes out --------------------------------------------------------------------------------------------

/// Names of the features, with coefficients and standard errors, the intercept first.
struct Answer {
    names: Vec<String>,
    coefficients: Vec<f64>,
    errors: Vec<f64>,
}

impl Answer {
    /// What the oracle says of these columns.
    fn of(columns: Vec<(String, Vec<f64>)>, y: &[bool], weights: Vec<f64>) -> Self {
        let (names, columns): (Vec<String>, Vec<Vec<f64>>) = columns.into_iter().unzip();
        let features = columns.len();
        let labels = y.iter().map(|y| f64::from(u8::from(*y))).collect();
        let rows = Rows { columns, labels, weights, ..Rows::default() };
        // Newton's steps want columns of one size.
        let n = rows.weight();
        let moments: Vec<(f64, f64)> = rows
            .columns
            .iter()
            .map(|column| {
                let sum = |of: &dyn Fn(f64) -> f64| -> f64 {
                    column.iter().enumerate().map(|(row, x)| rows.row_weight(row) * of(*x)).sum::<f64>() / n
                };
                let mean = sum(&|x| x);
                (mean, sum(&|x| (x - mean).powi(2)).sqrt())
            })
            .collect();
        let mut scaled = rows.clone();
        for (column, (mean, scale)) in scaled.columns.iter_mut().zip(&moments) {
            for x in column {
                *x = (*x - mean) / scale;
            }
        }
        let at = scaled.newton(0.0);
        let (hessian, _) = scaled.hessian(&at[..features], at[features]);
        // Of a linear combination of the estimates.
        let error = |combination: Vec<f64>| {
            let solved = oracle::solve(hessian.clone(), &combination);
            (solved.iter().zip(&combination).map(|(a, b)| a * b).sum::<f64>() / n).sqrt()
        };
        let of_intercept = moments.iter().map(|(mean, scale)| -mean / scale).chain([1.0]).collect::<Vec<_>>();
        let intercept = of_intercept.iter().zip(&at).map(|(a, b)| a * b).sum();
        let unit = |j: usize| (0..=features).map(|i| if i == j { 1.0 / moments[j].1 } else { 0.0 }).collect();
        Self {
            names,
            coefficients: [intercept].into_iter().chain((0..features).map(|j| at[j] / moments[j].1)).collect(),
            errors: [error(of_intercept)].into_iter().chain((0..features).map(|j| error(unit(j)))).collect(),
        }
    }

    /// What R says, in `tests/reference/r`.
    fn of_r(name: &str) -> Self {
        let text = fs::read(of_r(&format!("{name}.ref.json"))).expect("the reference is there");
        let reference: Value = serde_json::from_slice(&text).expect("JSON");
        let list = |part: &str| -> Vec<f64> {
            reference[part].as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
        };
        let names = reference["names"].as_array().expect("names").iter().skip(1);
        Self {
            names: names.map(|name| name.as_str().expect("a text").to_owned()).collect(),
            coefficients: list("coef"),
            errors: list("se"),
        }
    }

    /// Whether a model says the same: coefficients within 1e-4 of their standard errors, and these within 1e-4 of
    /// themselves.
    fn check(&self, model: &Value) -> Check {
        if model["training"]["status"] != "converged" {
            return Err(format!("the status is {}", model["training"]["status"]));
        }
        let features = model["features"].as_array().ok_or("no features")?;
        let names: Vec<&str> = features.iter().map(|feature| feature["name"].as_str().unwrap_or_default()).collect();
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let mut order = Vec::new();
        for name in &self.names {
            let place = names.iter().position(|found| found == name);
            order.push(place.ok_or_else(|| format!("the features are {names:?}, without {name}"))?);
        }
        if names.len() != order.len() {
            return Err(format!("the features are {names:?}, not {:?}", self.names));
        }
        let found = order.iter().map(|place| number(&features[*place]["coefficient"]));
        let found: Vec<f64> = [number(&model["intercept"])].into_iter().chain(found).collect();
        close("coefficients", &found, &self.coefficients, |j| 1e-4 * self.errors[j])?;
        let errors = order.iter().map(|place| number(&features[*place]["standard_error"]));
        let errors: Vec<f64> =
            [number(&model["intercept_inference"]["standard_error"])].into_iter().chain(errors).collect();
        close("standard errors", &errors, &self.errors, |j| 1e-4 * self.errors[j])
    }

    /// A model that says just this.
    fn ideal(&self) -> Value {
        let feature = |j: usize| json!({ "name": self.names[j], "coefficient": self.coefficients[j + 1], "standard_error": self.errors[j + 1] });
        json!({
            "training": { "status": "converged" },
            "intercept": self.coefficients[0],
            "intercept_inference": { "standard_error": self.errors[0] },
            "features": (0..self.names.len()).map(feature).collect::<Vec<_>>(),
        })
    }

    /// The check passes what is right, and nothing that is a little wrong.
    fn can_fail(&self) -> Check {
        self.check(&self.ideal())?;
        let changes: [&dyn Fn(&mut Value); 5] = [
            &|model| model["training"]["status"] = json!("separated"),
            &|model| model["intercept"] = json!(self.coefficients[0] + 1e-3 * self.errors[0]),
            &|model| model["intercept_inference"]["standard_error"] = json!(self.errors[0] * 1.001),
            &|model| model["intercept"] = Value::Null,
            &|model| model["features"].as_array_mut().expect("a list").push(json!({ "name": "another" })),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut model = self.ideal();
            change(&mut model);
            if self.check(&model).is_ok() {
                return Err(format!("change {number} passes"));
            }
        }
        for j in 0..self.names.len() {
            for part in ["coefficient", "standard_error"] {
                let mut model = self.ideal();
                model["features"][j][part] =
                    json!(model["features"][j][part].as_f64().expect("one") + 1e-3 * self.errors[j + 1]);
                if self.check(&model).is_ok() {
                    return Err(format!("another {part} of {} passes", self.names[j]));
                }
            }
        }
        Ok(())
    }
}

type Named = Vec<(String, Vec<f64>)>;

fn numbers(values: &[i64]) -> Vec<f64> {
    values.iter().map(|k| *k as f64).collect()
}

fn named(columns: &[(&str, &[f64])]) -> Named {
    columns.iter().map(|(name, values)| ((*name).to_owned(), values.to_vec())).collect()
}

/// Columns of the levels behind the first.
fn levels(name: &str, levels: &[&str], values: &[&str]) -> Named {
    let of = |level: &&str| values.iter().map(|value| f64::from(u8::from(value == level))).collect();
    levels[1..].iter().map(|level| (format!("{name}={level}"), of(level))).collect()
}

fn ucb() -> Answer {
    Answer::of_r("ucb")
}

fn of_small_text() -> Answer {
    let table = base();
    let columns = [named(&[("x", &table.x[..28])]), levels("g", &["u", "v", "w"], &table.g[..28])].concat();
    Answer::of(columns, &table.y[..28], Vec::new())
}

fn of_many_levels() -> Answer {
    let (place, x, y) = places();
    let names: Vec<String> = (0..25).map(|level| format!("p{level:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    Answer::of([named(&[("x", &x)]), levels("place", &names, &place)].concat(), &y, Vec::new())
}

fn of_nothing() -> Answer {
    Answer::of(Vec::new(), &base().y, Vec::new())
}

fn of_x() -> Answer {
    let table = base();
    Answer::of(named(&[("x", &table.x)]), &table.y, Vec::new())
}

fn of_k() -> Answer {
    let table = base();
    Answer::of(named(&[("k", &numbers(&table.k))]), &table.y, Vec::new())
}

fn of_x_and_k() -> Answer {
    let table = base();
    Answer::of(named(&[("x", &table.x), ("k", &numbers(&table.k))]), &table.y, Vec::new())
}

fn of_first_half() -> Answer {
    let (table, half) = (base(), ROWS / 2);
    let columns = named(&[("x", &table.x[..half]), ("k", &numbers(&table.k[..half]))]);
    Answer::of(columns, &table.y[..half], Vec::new())
}

fn of_x_and_upper_x() -> Answer {
    let table = base();
    Answer::of(named(&[("x", &table.x), ("X", &numbers(&table.k))]), &table.y, Vec::new())
}

fn of_x_and_index() -> Answer {
    let table = base();
    Answer::of(named(&[("x", &table.x), ("when", &numbers(&index()))]), &table.y, Vec::new())
}

fn of_seconds() -> Answer {
    let table = base();
    Answer::of(named(&[("d", &numbers(&table.k))]), &table.y, Vec::new())
}

fn of_times() -> Answer {
    let table = base();
    Answer::of(named(&[("t", &numbers(&table.k))]), &table.y, Vec::new())
}

fn of_far_times() -> Answer {
    Answer::of(named(&[("t", &far_times())]), &base().y, Vec::new())
}

fn of_odd_names() -> Answer {
    let table = base();
    let columns = [named(&[("a,b", &numbers(&table.k))]), levels(" c ", &["u", "v", "w"], &table.g)].concat();
    Answer::of(columns, &table.y, Vec::new())
}

/// The rows in the order of the folders, with these codes as levels.
fn with_codes(codes: &[&str]) -> Answer {
    let table = base();
    let rows = rows_by_code(codes.len());
    let code: Vec<&str> = codes.iter().zip(&rows).flat_map(|(code, rows)| rows.iter().map(move |_| *code)).collect();
    let rows: Vec<usize> = rows.into_iter().flatten().collect();
    let x: Vec<f64> = rows.iter().map(|row| table.x[*row]).collect();
    let y: Vec<bool> = rows.iter().map(|row| table.y[*row]).collect();
    Answer::of([named(&[("x", &x)]), levels("code", codes, &code)].concat(), &y, Vec::new())
}

fn of_codes() -> Answer {
    with_codes(&CODES)
}

fn of_long_codes() -> Answer {
    with_codes(&LONG_CODES)
}

fn of_zips() -> Answer {
    with_codes(&ZIPS)
}

fn of_exponents() -> Answer {
    with_codes(&EXPONENTS)
}

fn of_truth() -> Answer {
    with_codes(&TRUTH)
}

fn of_nan() -> Answer {
    with_codes(&["1", "2", "nan"])
}

fn of_numbers() -> Answer {
    let table = base();
    let mut code = vec![0.0; ROWS];
    for (number, rows) in NUMBERS.iter().zip(rows_by_code(3)) {
        for row in rows {
            code[row] = number.parse().expect("a number");
        }
    }
    Answer::of(named(&[("x", &table.x), ("code", &code)]), &table.y, Vec::new())
}

fn of_live_rows() -> Answer {
    let table = base();
    let live: Vec<usize> = (0..ROWS).filter(|row| row % 4 != 3).collect();
    let x: Vec<f64> = live.iter().map(|row| table.x[*row]).collect();
    let g: Vec<&str> = live.iter().map(|row| table.g[*row]).collect();
    let y: Vec<bool> = live.iter().map(|row| table.y[*row]).collect();
    let weights = live.iter().map(|row| 1.0 + (row % 3) as f64).collect();
    Answer::of([named(&[("x", &x)]), levels("g", &["u", "v", "w"], &g)].concat(), &y, weights)
}

/// All that is printed: with `--json`, errors stand on stdout.
fn printed(run: &Run) -> String {
    format!("{}{}", run.stdout, run.stderr)
}

fn good(run: &Run) -> Check {
    if run.code == Some(0) { Ok(()) } else { Err(format!("exit code {:?}: {}", run.code, printed(run))) }
}

/// All words stand in a text, whatever the case.
fn says(text: &str, words: &[&str]) -> Check {
    let lower = text.to_lowercase();
    match words.iter().find(|word| !lower.contains(&word.to_lowercase())) {
        Some(word) => Err(format!("`{word}` is not in: {text}")),
        None => Ok(()),
    }
}

fn text(place: &Place, name: &str) -> String {
    String::from_utf8(place.read(name)).expect("UTF-8")
}

fn lines(place: &Place, name: &str, expected: usize) -> Check {
    let found = text(place, name).lines().count();
    if found == expected { Ok(()) } else { Err(format!("{found} lines, not {expected}")) }
}

fn begins(place: &Place, name: &str, expected: &str) -> Check {
    let text = text(place, name);
    if text.starts_with(expected) { Ok(()) } else { Err(format!("it begins {:?}", text.lines().next())) }
}

/// Readers of CSV pass over empty lines.
fn no_line_is_empty(place: &Place, run: &Run) -> Check {
    good(run)?;
    lines(place, "p.csv", ROWS + 1)?;
    let empty = text(place, "p.csv").lines().filter(|line| line.is_empty()).count();
    if empty == 0 { Ok(()) } else { Err(format!("{empty} lines are empty")) }
}

/// One folder on its own is scored as it is in the whole table: rows and the mean loss.
fn is_as_in_the_whole(place: &Place, run: &Run) -> Check {
    good(run)?;
    let whole = place.run("evaluate data -m m.json --where code='7' --json");
    good(&whole)?;
    let [found, expected] = [run.json(), whole.json()];
    let rows = rows_by_code(3)[2].len();
    if found["metrics"]["rows"] != rows || expected["metrics"]["rows"] != rows {
        return Err(format!(
            "rows: {} and {} instead of {rows}",
            found["metrics"]["rows"], expected["metrics"]["rows"]
        ));
    }
    let loss = |document: &Value| document["metrics"]["log_loss"].to_string();
    if loss(&found) == loss(&expected) && loss(&found) != "null" {
        Ok(())
    } else {
        Err(format!("the loss is {}, and {} in the whole", loss(&found), loss(&expected)))
    }
}

/// `svyglm` of R's survey, with weights alone.
fn race_2_is_as_svyglm_says(_: &Place, run: &Run) -> Check {
    good(run)?;
    let model = run.json();
    let features = model["features"].as_array().ok_or("no features")?;
    let race = features.iter().find(|feature| feature["name"] == "race=2").ok_or("no race=2")?;
    let error = race["standard_error"].as_f64().ok_or("no standard error")?;
    close("the standard error of race=2", &[error], &[0.100_701_8], |_| 1e-4 * 0.100_701_8)
}

/// The head of the table, above the coefficients.
fn names_weights_and_offsets(_: &Place, run: &Run) -> Check {
    good(run)?;
    let head = run.stdout.split("intercept ").next().unwrap_or_default();
    says(head, &["weight", "`w`", "offset", "`o`"])
}

fn files_have_no_checksums(_: &Place, run: &Run) -> Check {
    good(run)?;
    let model = run.json();
    let files = model["training"]["files"].as_array().ok_or("no files")?;
    let said = files.iter().all(|file| {
        file.as_object().is_some_and(|file| {
            file.iter().any(|(name, value)| name.contains("checksum") && (value == false || value == "none"))
        })
    });
    if said && !files.is_empty() { Ok(()) } else { Err(format!("the files are {files:?}")) }
}

/// R 4.2: glm(type ~ offset(lp)) has this deviance.
fn pima(_: &Place, run: &Run) -> Check {
    good(run)?;
    let training = &run.json()["training"];
    let figure = |name: &str| training[name].as_f64().unwrap_or(f64::NAN);
    close("null deviance", &[figure("null_deviance")], &[292.432_241_096_112], |_| 1e-4)?;
    close("McFadden", &[figure("mcfadden_r2")], &[0.009_353_809_464_008_66], |_| 1e-6)
}

/// A file that has changed since it was opened, at the same size and time, is refused.
fn replaced_file(place: &Place, by_another: bool) -> Check {
    let table = base();
    let opposite: ArrayRef = Arc::new(table.y.iter().map(|y| Some(!y)).collect::<BooleanArray>());
    write_bare(place, "data.parquet", table.x(), &[ROWS]);
    let columns = [("y", opposite), ("x", table.x())];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let path = place.path("data.parquet");
    let modified = fs::metadata(&path).and_then(|about| about.modified()).map_err(|e| e.to_string())?;
    let opened = Table::open(&path).map_err(|e| e.to_string())?;
    // The labels are bits: the same number of bytes.
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_compression(Compression::UNCOMPRESSED)
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let mut other = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut other, batch.schema(), Some(properties)).expect("a schema");
    writer.write(&batch).expect("the rows are written");
    writer.close().expect("the footer is written");
    let old = place.read("data.parquet").len();
    if other.len() != old {
        return Err(format!("{} bytes instead of {old}", other.len()));
    }
    // Where the clock of the file system is coarse, the time of the change would be the same.
    std::thread::sleep(Duration::from_millis(20));
    let target = if by_another { place.path("other.parquet") } else { path.clone() };
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&target).expect("it opens");
    file.write_all(&other).expect("it is written");
    file.set_modified(modified).expect("its time is set");
    drop(file);
    if by_another {
        fs::rename(&target, &path).expect("it takes the place");
    }
    let spec = Spec { label: Some("y".into()), ..Spec::default() };
    match train(&opened, &Job::new(spec, Selection::Cpu), &Silent, &mut |_| {}) {
        Ok(_) => Err("a model came out of it".into()),
        Err(error) if error.kind == Kind::Data && error.fact.contains("data.parquet") => Ok(()),
        Err(error) => Err(format!("{:?}: {error}", error.kind)),
    }
}

/// Between quotes, or a sign of its own.
fn blanks_are_visible(_: &Place, run: &Run) -> Check {
    good(run)?;
    let forms = ["`b `", "\"b \"", "'b '", "b␣", "b·"];
    if forms.iter().any(|form| run.stdout.contains(form)) { Ok(()) } else { Err(run.stdout.clone()) }
}

/// A row at exactly the threshold is positive, to `predict` and to `evaluate`.
fn threshold_is_positive(place: &Place) -> Check {
    good(&place.run("train data.parquet --label y -o m.json --device cpu"))?;
    edited_model(place, "at.json", |model| {
        model["intercept"] = json!(0.0);
        model["features"][0]["coefficient"] = json!(1.0);
    });
    good(&place.run("predict at.parquet -m at.json --output label -o p.csv"))?;
    let labels = text(place, "p.csv");
    if labels.lines().skip(1).collect::<Vec<_>>() != ["true"; 4] {
        return Err(format!("predicted: {labels}"));
    }
    let run = place.run("evaluate at.parquet -m at.json --json");
    good(&run)?;
    close("accuracy", &[run.json()["metrics"]["accuracy"].as_f64().unwrap_or(f64::NAN)], &[0.75], |_| 0.0)
}

/// A message names the row as the file counts, not among those that meet the condition.
fn named_by_the_file(run: &Run) -> Check {
    if run.code != Some(DATA) {
        return Err(format!("exit code {:?}", run.code));
    }
    says(&run.stderr, &["x: 1 null", &format!("from 0: {HOLE}\n")])
}

// ---- the checks ------------------------------------------------------------------------------------------------

/// Whether a run is what is expected.
fn check(expected: &Expected, place: &Place, run: &Run) -> Check {
    let refused = |code: i32, words: &[&str]| {
        if run.code != Some(code) {
            return Err(format!("exit code {:?} instead of {code}: {}", run.code, printed(run)));
        }
        says(&printed(run), words)
    };
    match expected {
        Refused(code, words) => refused(*code, words),
        Prints(words, without) => {
            good(run)?;
            let all = printed(run);
            says(&all, words)?;
            match without.iter().find(|word| all.contains(**word)) {
                Some(word) => Err(format!("`{word}` is in: {all}")),
                None => Ok(()),
            }
        }
        IsOrRefused(_, words) if run.code == Some(DATA) => says(&printed(run), words),
        Is(answer, _) | IsOrRefused(answer, _) => {
            good(run)?;
            answer().check(&run.json())?;
            if let Is(_, words) = expected { says(&run.stderr, words) } else { Ok(()) }
        }
        Passes(check) => check(place, run),
    }
}

fn run(case: &Case, device: &str) -> Check {
    let place = Place::new();
    (case.input)(&place);
    let run = |arguments: &[&str]| {
        let mut command = place.command("");
        command.args(arguments);
        Run::of(command.output().expect("the program starts"))
    };
    for arguments in case.before {
        good(&run(arguments)).map_err(|fault| format!("{arguments:?}: {fault}"))?;
    }
    (case.edit)(&place);
    let mut arguments = case.arguments.to_vec();
    if matches!(case.expected, Is(..) | IsOrRefused(..)) {
        arguments.extend(["--inference", "--json", "--device", device]);
    }
    check(&case.expected, &place, &run(&arguments))
}

/// No answer would pass in another's place, and no good end for a refusal.
fn checks_can_fail() -> Check {
    let place = Place::new();
    let ended = |code: i32, stderr: &str| Run { code: Some(code), stdout: "{}".into(), stderr: stderr.into() };
    let mut answers = 0;
    for case in CASES.iter().flat_map(|(_, cases)| *cases) {
        let fails = |run: &Run| match check(&case.expected, &place, run) {
            Err(_) => Ok(()),
            Ok(()) => Err(format!("{}: this passes: {run:?}", case.name)),
        };
        match &case.expected {
            Is(answer, _) | IsOrRefused(answer, _) => {
                answer().can_fail().map_err(|fault| format!("{}: {fault}", case.name))?;
                fails(&ended(1, ""))?;
                answers += 1;
            }
            Refused(code, words) => {
                fails(&ended(0, &words.join(" ")))?;
                fails(&ended(4 - code.min(&4), &words.join(" ")))?;
                fails(&ended(*code, &words[1..].join(" ")))?;
                check(&case.expected, &place, &ended(*code, &words.join(" ")))?;
            }
            Prints(words, _) => fails(&ended(0, &words[1..].join(" ")))?,
            Passes(_) => (),
        }
    }
    if answers < 25 { Err(format!("only {answers} answers")) } else { Ok(()) }
}

/// Every point has a row.
fn every_point_has_a_row() -> Check {
    let points: Vec<u32> = CASES.iter().filter(|(_, cases)| !cases.is_empty()).map(|(point, _)| *point).collect();
    if points == (1..=16).collect::<Vec<_>>() { Ok(()) } else { Err(format!("{points:?}")) }
}

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.cpu("checks_can_fail", checks_can_fail);
    suite.cpu("every_point_has_a_row", every_point_has_a_row);
    for (point, cases) in CASES {
        for case in *cases {
            let name = format!("{point:02}_{}", case.name);
            suite.cpu(&name, move || run(case, "cpu"));
            if matches!(case.expected, Is(..) | IsOrRefused(..)) {
                suite.gpu(&name, move |_| run(case, "gpu"));
            }
        }
    }
    suite.run()
}
