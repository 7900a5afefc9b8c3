//! Parquet files that are good, what is done to them, and what their footers say of the values in them. Shares no code
//! with `src`.

mod footer;

use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
    ListArray, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::common::random::Random;
use footer::Part;

/// A good file.
pub(crate) struct Base {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// Whether its pages have checksums.
    pub(crate) checksums: bool,
    /// The features that are asked for; none for the default.
    pub(crate) features: Vec<&'static str>,
    /// Whether values are missing in it.
    pub(crate) nulls: bool,
    /// What a training on it says.
    pub(crate) answer: String,
    /// What its model predicts for it.
    pub(crate) predictions: String,
}

const ROWS: usize = 120;

/// Columns of the usual types, as those of `tests/reference/damage.py`.
fn columns(seed: u64, nulls: bool) -> Vec<(&'static str, ArrayRef)> {
    let mut random = Random(seed);
    let mut numbers =
        |from: f64, to: f64| -> Vec<f64> { (0..ROWS).map(|_| from + (to - from) * random.unit()).collect() };
    let (x, f, k, cents) = (numbers(-2.0, 2.0), numbers(-2.0, 2.0), numbers(-50.0, 50.0), numbers(0.0, 1e5));
    let (chance, colour, side) = (numbers(0.0, 1.0), numbers(0.0, 3.0), numbers(-1.0, 1.0));
    let names = ["blue", "green", "red"];
    let odds = |row: usize| 0.5 * x[row] - 0.3 * f[row] + 0.01 * k[row] + 0.4 * (colour[row] - 1.0);
    let some = |row: usize, every: usize| !(nulls && row % every == 3);
    let lists = (0..ROWS).map(|row| Some(vec![Some(side[row]), Some(x[row] * side[row])]));
    vec![
        (
            "y",
            Arc::new(
                (0..ROWS).map(|row| Some(chance[row] < 1.0 / (1.0 + (-odds(row)).exp()))).collect::<BooleanArray>(),
            ),
        ),
        ("x", Arc::new((0..ROWS).map(|row| some(row, 11).then_some(x[row])).collect::<Float64Array>())),
        ("f", Arc::new(f.iter().map(|f| Some(*f as f32)).collect::<Float32Array>())),
        ("k", Arc::new((0..ROWS).map(|row| some(row, 7).then_some(k[row] as i32)).collect::<Int32Array>())),
        ("big", Arc::new(cents.iter().map(|c| Some(*c as i64 * 10_000_000_000)).collect::<Int64Array>())),
        (
            "g",
            Arc::new(
                (0..ROWS).map(|row| some(row, 13).then_some(names[colour[row] as usize])).collect::<StringArray>(),
            ),
        ),
        ("b", Arc::new(side.iter().map(|s| Some(*s > 0.2)).collect::<BooleanArray>())),
        (
            "d",
            Arc::new(
                Decimal128Array::from_iter_values(cents.iter().map(|c| *c as i128))
                    .with_precision_and_scale(9, 2)
                    .expect("digits enough"),
            ),
        ),
        ("t", Arc::new(TimestampMicrosecondArray::from_iter_values(cents.iter().map(|c| *c as i64 * 1_000_000)))),
        ("v", Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(lists))),
    ]
}

const EVERYTHING: &[&str] = &["x", "f", "k", "big", "g", "b", "d", "t", "v[0]", "v[1]"];

/// Files by the writer of arrow, without checksums, and those of `tests/reference/damage`, with them.
pub(crate) fn bases() -> Vec<Base> {
    let bare = || {
        WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_compression(Compression::UNCOMPRESSED)
            .set_max_row_group_row_count(Some(50))
    };
    let split = |builder: parquet::file::properties::WriterPropertiesBuilder, encodings: &[(&str, Encoding)]| {
        encodings.iter().fold(builder, |builder, (name, encoding)| {
            builder.set_column_encoding(ColumnPath::from((*name).to_owned()), *encoding)
        })
    };
    let delta = [
        ("k", Encoding::DELTA_BINARY_PACKED),
        ("big", Encoding::DELTA_BINARY_PACKED),
        ("t", Encoding::DELTA_BINARY_PACKED),
        ("g", Encoding::DELTA_BYTE_ARRAY),
        ("x", Encoding::BYTE_STREAM_SPLIT),
        ("f", Encoding::BYTE_STREAM_SPLIT),
    ];
    let zstd = Compression::ZSTD(ZstdLevel::try_new(3).expect("a level"));
    let written = [
        ("plain", false, &[][..], bare()),
        ("dictionary", true, &[][..], bare().set_dictionary_enabled(true).set_compression(Compression::SNAPPY)),
        ("dictionary, bare", false, &[][..], bare().set_dictionary_enabled(true)),
        ("delta and split", true, &[][..], split(bare(), &delta)),
        (
            "second version",
            true,
            EVERYTHING,
            split(bare(), &delta).set_writer_version(WriterVersion::PARQUET_2_0).set_compression(zstd),
        ),
        (
            "small pages",
            false,
            EVERYTHING,
            bare()
                .set_data_page_row_count_limit(20)
                .set_write_batch_size(20)
                .set_statistics_enabled(EnabledStatistics::Page),
        ),
        ("without statistics", true, &[][..], bare().set_statistics_enabled(EnabledStatistics::None)),
    ];
    let mut all: Vec<Base> = written
        .into_iter()
        .enumerate()
        .map(|(seed, (name, nulls, features, properties))| {
            let batch = RecordBatch::try_from_iter(columns(seed as u64 + 1, nulls)).expect("columns of one length");
            let mut bytes = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build()))
                .expect("a schema for Parquet");
            writer.write(&batch).expect("the rows are written");
            writer.close().expect("the footer is written");
            let features = features.to_vec();
            Base {
                name: name.into(),
                bytes,
                checksums: false,
                features,
                nulls,
                answer: String::new(),
                predictions: String::new(),
            }
        })
        .collect();
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/damage"));
    let reference: [(&str, bool, &[&'static str]); 5] = [
        ("plain", false, &[]),
        ("dictionary", true, &[]),
        ("second", true, &EVERYTHING[..8]),
        ("lists", false, EVERYTHING),
        ("bare", true, &[]),
    ];
    for (name, nulls, features) in reference {
        let bytes = fs::read(folder.join(name).with_extension("parquet")).expect("the file is there");
        let (checksums, features) = (name != "bare", features.to_vec());
        all.push(Base {
            name: format!("{name} of pyarrow"),
            bytes,
            checksums,
            features,
            nulls,
            answer: String::new(),
            predictions: String::new(),
        });
    }
    all
}

// ---- damage ----------------------------------------------------------------------------------------------------

/// A damaged file.
pub(crate) struct Wreck {
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: &'static str,
    /// Where and how.
    pub(crate) what: String,
}

/// How many kinds of damage a long series has at least.
pub(crate) const KINDS: usize = 25;

fn below(random: &mut Random, end: usize) -> usize {
    ((random.unit() * end as f64) as usize).min(end - 1)
}

/// Where the footer begins, and its length.
fn footer_of(bytes: &[u8]) -> (usize, usize) {
    let end = bytes.len() - 8;
    let size = u32::from_le_bytes(bytes[end..end + 4].try_into().expect("four bytes")) as usize;
    (end - size, size)
}

/// Damages a good file once.
pub(crate) fn damaged(good: &[u8], random: &mut Random) -> Wreck {
    let mut bytes = good.to_vec();
    let (start, size) = footer_of(good);
    let place = below(random, 20);
    let in_footer = matches!(place, 11..=13);
    let (first, length) = if in_footer { (start, size + 8) } else { (0, start) };
    let at = first + below(random, length);
    let span = |random: &mut Random, most: usize| 1 + below(random, most.min(first + length - at));
    let (kind, what) = match place {
        0..=2 | 11 => {
            bytes[at] ^= 1 << below(random, 8);
            (["a bit of the pages", "a bit of the footer"][usize::from(in_footer)], format!("{at}: {}", bytes[at]))
        }
        3..=5 | 12 => {
            let count = span(random, 8);
            bytes[at..at + count].iter_mut().for_each(|byte| *byte = below(random, 256) as u8);
            (["bytes of the pages", "bytes of the footer"][usize::from(in_footer)], format!("{at}: {count} bytes"))
        }
        6 | 13 => {
            let count = span(random, 400);
            bytes[at..at + count].fill(0);
            (["zeros in the pages", "zeros in the footer"][usize::from(in_footer)], format!("{at}: {count} zeros"))
        }
        7 => {
            let count = 1 + below(random, 200.min(length / 4));
            let (a, b) = (below(random, length / 2 - count), length / 2 + below(random, length / 2 - count));
            for offset in 0..count {
                bytes.swap(a + offset, b + offset);
            }
            ("swapped ranges of the pages", format!("{a} and {b}: {count} bytes"))
        }
        8 => {
            let count = span(random, 100);
            bytes.drain(at..at + count);
            ("bytes of the pages that are gone", format!("{at}: {count} bytes"))
        }
        9 => {
            let count = 1 + below(random, 64);
            let more: Vec<u8> = (0..count).map(|_| below(random, 256) as u8).collect();
            bytes.splice(at..at, more);
            ("bytes more in the pages", format!("{at}: {count} bytes"))
        }
        10 => {
            let left = below(random, bytes.len());
            bytes.truncate(left);
            ("an end that is cut off", format!("{left} bytes left"))
        }
        _ => return in_a_part(good, random),
    };
    Wreck { bytes, kind, what }
}

/// Changes one number or text of the footer, or a page's header, to another that is well-formed.
fn in_a_part(good: &[u8], random: &mut Random) -> Wreck {
    let (start, size) = footer_of(good);
    let parts = footer::parts(&good[start..start + size]);
    // A kind first, so that rare ones come as often as those of every column and row group.
    let mut kinds: Vec<&'static str> = parts.iter().map(|part| part.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let kind = kinds[below(random, kinds.len())];
    let of_kind: Vec<&Part> = parts.iter().filter(|part| part.kind == kind).collect();
    let part = of_kind[below(random, of_kind.len())];
    let mut footer = good[start..start + size].to_vec();
    let what = if let Some(value) = part.number {
        let others: Vec<i64> =
            of_kind.iter().filter_map(|other| other.number).filter(|other| *other != value).collect();
        let new = match below(random, 8) {
            0 => value + 1,
            1 => value - 1,
            2 => value * 2 + 1,
            3 => 0,
            4 => -1 - below(random, 1000) as i64,
            5 => 1 << (20 + below(random, 42)),
            6 => below(random, 20) as i64,
            _ if others.is_empty() => value + 8,
            _ => others[below(random, others.len())],
        };
        let new = if new == value { value + 2 } else { new };
        footer.splice(part.at.clone(), footer::varint(new));
        format!("{value} became {new}")
    } else {
        let text = &mut footer[part.at.clone()];
        let at = below(random, text.len());
        let old = text[at];
        text[at] = if below(random, 2) == 0 { old ^ 1 << below(random, 8) } else { below(random, 256) as u8 };
        format!("byte {at}, {old}, became {}", text[at])
    };
    Wreck { bytes: with_footer(good, &footer), kind, what }
}

/// A file with another footer.
fn with_footer(good: &[u8], footer: &[u8]) -> Vec<u8> {
    let (start, _) = footer_of(good);
    [&good[..start], footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

/// Files of which the footer says what is not so, if it says anything.
pub(crate) fn against_the_footer(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (start, size) = footer_of(good);
    let parts = footer::parts(&good[start..start + size]);
    let mut wrong = Vec::new();
    if let Some((part, value)) =
        parts.iter().filter(|part| part.kind == "a count of nulls").find_map(|part| Some((part, part.number?)))
    {
        let mut footer = good[start..start + size].to_vec();
        footer.splice(part.at.clone(), footer::varint(value + 1));
        wrong.push(("another count of nulls", with_footer(good, &footer)));
    }
    // The largest float became minus that: the byte with its sign.
    if let Some(part) =
        parts.iter().find(|part| part.kind == "a maximum" && part.at.len() == 8 && good[start + part.at.end - 1] < 0x80)
    {
        let mut footer = good[start..start + size].to_vec();
        footer[part.at.end - 1] ^= 0x80;
        wrong.push(("another maximum", with_footer(good, &footer)));
    }
    wrong
}

// ---- what a footer says ----------------------------------------------------------------------------------------

/// Values of a column that can be compared.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Cell {
    Whole(i128),
    Float(f64),
    Text(String),
}

/// The cells of an array that are there; `None` for types that are not compared.
fn cells(array: &ArrayRef) -> Option<Vec<Option<Cell>>> {
    let some = |value: Option<Cell>| value;
    Some(match array.data_type() {
        DataType::Boolean => array.as_boolean().iter().map(|b| some(b.map(|b| Cell::Whole(b.into())))).collect(),
        DataType::Float64 | DataType::Float32 => {
            let array = cast(array, &DataType::Float64).ok()?;
            array.as_primitive::<Float64Type>().iter().map(|x| some(x.map(|x| Cell::Float(x + 0.0)))).collect()
        }
        DataType::Decimal128(..) => {
            array.as_primitive::<Decimal128Type>().iter().map(|d| some(d.map(Cell::Whole))).collect()
        }
        DataType::Utf8 => array.as_string::<i32>().iter().map(|t| some(t.map(|t| Cell::Text(t.to_owned())))).collect(),
        other if other.is_integer() => {
            let array = cast(array, &DataType::Decimal128(38, 0)).ok()?;
            array.as_primitive::<Decimal128Type>().iter().map(|d| some(d.map(Cell::Whole))).collect()
        }
        DataType::Timestamp(..) => {
            let array = cast(&cast(array, &DataType::Int64).ok()?, &DataType::Decimal128(38, 0)).ok()?;
            array.as_primitive::<Decimal128Type>().iter().map(|d| some(d.map(Cell::Whole))).collect()
        }
        _ => return None,
    })
}

/// What of the values in a file contradicts its footer, by the reader of the crate: a value beyond the bounds of a chunk, or
/// another number of nulls. Only the columns that the model takes are looked at.
pub(crate) fn contradiction(bytes: &[u8], base: &Base) -> Option<String> {
    catch_unwind(AssertUnwindSafe(|| contradicted(bytes, base))).ok().flatten()
}

fn contradicted(bytes: &[u8], base: &Base) -> Option<String> {
    // Readers share its cursor, and come one after the other.
    let mut file = tempfile::tempfile().ok()?;
    file.write_all(bytes).ok()?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.try_clone().ok()?).ok()?;
    let (metadata, schema) = (builder.metadata().clone(), builder.schema().clone());
    for group in 0..metadata.num_row_groups() {
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(file.try_clone().ok()?).ok()?.with_row_groups(vec![group]).build();
        let batches: Vec<RecordBatch> = reader.ok()?.collect::<Result<_, _>>().ok()?;
        for (place, field) in schema.fields().iter().enumerate() {
            let taken =
                base.features.is_empty() || field.name() == "y" || base.features.contains(&field.name().as_str());
            if !taken || (base.features.is_empty() && field.data_type().is_temporal()) {
                continue;
            }
            let Ok(converter) =
                StatisticsConverter::try_new(field.name(), &schema, metadata.file_metadata().schema_descr())
            else {
                continue;
            };
            let about = &metadata.row_groups()[group..=group];
            let Some(column) = converter.parquet_column_index() else { continue };
            let Some(statistics) = about[0].column(column).statistics() else { continue };
            let mut found = Vec::new();
            for batch in &batches {
                let Some(cells) = cells(batch.column(place)) else { break };
                found.extend(cells);
            }
            let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
            if found.len() != rows {
                continue;
            }
            let nulls = found.iter().filter(|cell| cell.is_none()).count() as u64;
            if let Some(said) = statistics.null_count_opt().filter(|said| *said != nulls) {
                return Some(format!(
                    "{} has {nulls} nulls in row group {group}, its footer says {said}",
                    field.name()
                ));
            }
            if statistics.is_min_max_deprecated() {
                continue;
            }
            let bound =
                |array: ArrayRef| cells(&array)?.into_iter().next()?.filter(|cell| cell.partial_cmp(cell).is_some());
            let exact = [statistics.min_is_exact(), statistics.max_is_exact()];
            let low = converter.row_group_mins(about).ok().and_then(bound).filter(|_| exact[0]);
            let high = converter.row_group_maxes(about).ok().and_then(bound).filter(|_| exact[1]);
            for cell in found.iter().flatten() {
                if low.as_ref().is_some_and(|low| cell < low) || high.as_ref().is_some_and(|high| cell > high) {
                    let name = field.name();
                    return Some(format!(
                        "{name} has {cell:?} in row group {group}, its footer says {low:?} to {high:?}"
                    ));
                }
            }
        }
    }
    None
}
