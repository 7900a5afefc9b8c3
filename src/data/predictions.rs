//! Predictions out: Parquet, CSV or JSON lines, with columns of the table that they were made from.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, StringArray};
use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::class::Class;
use super::encode::{Encoder, Kept};
use super::table::Table;
use crate::error::{Error, Result};

/// How predictions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Parquet, compressed with Snappy.
    Parquet,
    /// CSV with a line of names. Nothing stands for null, but where the line would be empty, which readers skip: NaN for a
    /// number and `""` else.
    Csv,
    /// One JSON object a row.
    JsonLines,
}

/// What is predicted of a row, and where it goes.
#[derive(Clone, Debug)]
pub enum Prediction {
    /// Numbers, in columns of these names.
    Numbers(Vec<String>),
    /// One of these classes, in the column of this name.
    Class(String, Vec<Class>),
}

impl Prediction {
    /// The names of the columns, and the classes if they hold some.
    fn columns(&self) -> (&[String], &[Class]) {
        match self {
            Self::Numbers(names) => (names, &[]),
            Self::Class(name, classes) => (std::slice::from_ref(name), classes),
        }
    }
}

/// Predictions of some rows, `None` where there is none.
#[derive(Clone, Debug)]
pub enum Predicted {
    /// Probabilities or margins, column by column.
    Numbers(Vec<Vec<Option<f64>>>),
    /// Places among the classes.
    Classes(Vec<Option<usize>>),
}

/// The classes as a column has them.
enum Values {
    Booleans(Vec<bool>),
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

impl Values {
    fn of(classes: &[Class]) -> Self {
        let boolean = |class: &Class| if let Class::Boolean(flag) = class { Some(*flag) } else { None };
        let number = |class: &Class| if let Class::Number(number) = class { Some(*number) } else { None };
        let (booleans, numbers) = (classes.iter().map(boolean).collect(), classes.iter().map(number).collect());
        match (booleans, numbers) {
            (Some(booleans), _) => Self::Booleans(booleans),
            (_, Some(numbers)) => Self::Numbers(numbers),
            _ => Self::Texts(classes.iter().map(ToString::to_string).collect()),
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Booleans(_) => DataType::Boolean,
            Self::Numbers(_) => DataType::Float64,
            Self::Texts(_) => DataType::Utf8,
        }
    }

    fn column(&self, places: &[Option<usize>]) -> ArrayRef {
        let places = places.iter().copied();
        match self {
            Self::Booleans(values) => {
                Arc::new(places.map(|place| place.map(|place| values[place])).collect::<BooleanArray>())
            }
            Self::Numbers(values) => {
                Arc::new(places.map(|place| place.map(|place| values[place])).collect::<Float64Array>())
            }
            Self::Texts(values) => {
                Arc::new(places.map(|place| place.map(|place| values[place].as_str())).collect::<StringArray>())
            }
        }
    }
}

/// Makes record batches of predictions: columns of the table that are kept, then what is predicted.
pub struct PredictionBatches {
    schema: SchemaRef,
    classes: Values,
}

impl PredictionBatches {
    /// With the kept columns of `inputs` and the prediction.
    ///
    /// # Errors
    /// Of kind `Usage` if a kept column has the name of the prediction.
    pub fn new(table: &Table, inputs: &Encoder, prediction: &Prediction) -> Result<Self> {
        let mut fields: Vec<ArrowField> =
            inputs.kept(table).map(|field| ArrowField::new(&field.name, field.arrow_type.clone(), true)).collect();
        let (names, classes) = prediction.columns();
        if let Some(name) = names.iter().find(|name| fields.iter().any(|field| field.name() == *name)) {
            return Err(Error::usage(
                format!("⟦keep {name}⟧: the prediction itself has that name"),
                "Leave the column out, or rename it upstream.",
            ));
        }
        let classes = Values::of(classes);
        let data_type = match prediction {
            Prediction::Numbers(_) => DataType::Float64,
            Prediction::Class(..) => classes.data_type(),
        };
        fields.extend(names.iter().map(|name| ArrowField::new(name, data_type.clone(), true)));
        Ok(Self { schema: Arc::new(Schema::new(fields)), classes })
    }

    /// How many columns they have.
    pub fn columns(&self) -> usize {
        self.schema.fields().len()
    }

    /// The next rows.
    pub fn batch(&self, kept: Kept, predicted: Predicted) -> Result<RecordBatch> {
        let Kept(mut columns) = kept;
        match predicted {
            Predicted::Numbers(several) => {
                columns.extend(several.into_iter().map(|numbers| Arc::new(Float64Array::from(numbers)) as ArrayRef));
            }
            Predicted::Classes(places) => columns.push(self.classes.column(&places)),
        }
        RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|cause| Error::internal(format!("predictions do not fit their columns: {cause}")))
    }
}

/// Rows of a row group that is written.
const GROUP_ROWS: usize = 1 << 17;

/// Writes predictions, piece by piece.
pub struct Predictions<W: Write + Send> {
    out: Out<W>,
    batches: PredictionBatches,
    path: PathBuf,
}

enum Out<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Text(W, Form),
}

impl<W: Write + Send> Predictions<W> {
    /// Begins a file on `out`, which messages call `path`, with the kept columns of `inputs` and the prediction.
    pub fn new(
        out: W,
        path: &Path,
        form: Form,
        table: &Table,
        inputs: &Encoder,
        prediction: &Prediction,
    ) -> Result<Self> {
        let batches = PredictionBatches::new(table, inputs, prediction)?;
        let out = match form {
            Form::Parquet => {
                let mut properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .set_max_row_group_row_count(Some(GROUP_ROWS));
                if matches!(prediction, Prediction::Numbers(_)) && inputs.have_numbers() {
                    // Nearly every row has a prediction of its own: a dictionary would be filled for nothing, and that
                    // takes longer than all the rest.
                    for name in prediction.columns().0 {
                        properties =
                            properties.set_column_dictionary_enabled(ColumnPath::new(vec![name.clone()]), false);
                    }
                }
                let writer = ArrowWriter::try_new(out, batches.schema.clone(), Some(properties.build()));
                Out::Parquet(Box::new(writer.map_err(|cause| Error::output(path, cause))?))
            }
            form => Out::Text(out, form),
        };
        let mut predictions = Self { out, batches, path: path.to_owned() };
        if let Out::Text(out, Form::Csv) = &mut predictions.out {
            let names: Vec<String> =
                predictions.batches.schema.fields().iter().map(|field| quoted(field.name())).collect();
            writeln!(out, "{}", names.join(",")).map_err(|cause| Error::output(path, cause))?;
        }
        Ok(predictions)
    }

    /// How many columns it has.
    pub fn columns(&self) -> usize {
        self.batches.columns()
    }

    /// Writes the next rows.
    pub fn write(&mut self, kept: Kept, predicted: Predicted) -> Result<()> {
        let batch = self.batches.batch(kept, predicted)?;
        let path = &self.path;
        match &mut self.out {
            Out::Parquet(writer) => writer.write(&batch).map_err(|cause| Error::output(path, cause)),
            Out::Text(out, form) => {
                let text = lines(&batch, *form)
                    .map_err(|cause| Error::internal(format!("a value has no form as text: {cause}")))?;
                out.write_all(text.as_bytes()).map_err(|cause| Error::output(path, cause))
            }
        }
    }

    /// Ends the file.
    pub fn close(self) -> Result<()> {
        let path = &self.path;
        match self.out {
            Out::Parquet(writer) => writer.close().map(drop).map_err(|cause| Error::output(path, cause)),
            Out::Text(mut out, _) => out.flush().map_err(|cause| Error::output(path, cause)),
        }
    }
}

/// The rows of a batch as CSV or JSON lines.
fn lines(batch: &RecordBatch, form: Form) -> std::result::Result<String, arrow::error::ArrowError> {
    let options = FormatOptions::default();
    let columns: Vec<ArrayFormatter<'_>> = batch
        .columns()
        .iter()
        .map(|array| ArrayFormatter::try_new(array, &options))
        .collect::<std::result::Result<_, _>>()?;
    let names: Vec<String> = batch
        .schema()
        .fields()
        .iter()
        .map(|field| serde_json::Value::from(field.name().as_str()).to_string())
        .collect();
    let mut text = String::new();
    for row in 0..batch.num_rows() {
        for (index, (array, formatter)) in batch.columns().iter().zip(&columns).enumerate() {
            text.push_str(match (form, index) {
                (Form::JsonLines, 0) => "{",
                (_, 0) => "",
                (_, _) => ",",
            });
            if form == Form::JsonLines {
                let _ = write!(text, "{}:", names[index]);
            }
            if array.is_null(row) {
                text.push_str(match form {
                    Form::JsonLines => "null",
                    _ if batch.num_columns() > 1 => "",
                    _ if array.data_type().is_numeric() => "NaN",
                    _ => "\"\"",
                });
                continue;
            }
            let value = formatter.value(row).to_string();
            match form {
                // What is not finite has no number in JSON.
                Form::JsonLines if array.data_type().is_floating() => {
                    text.push_str(if value.parse().is_ok_and(f64::is_finite) { &value } else { "null" });
                }
                Form::JsonLines if array.data_type().is_integer() || *array.data_type() == DataType::Boolean => {
                    text.push_str(&value);
                }
                Form::JsonLines => {
                    let _ = write!(text, "{}", serde_json::Value::from(value));
                }
                _ => text.push_str(&quoted(&value)),
            }
        }
        text.push_str(if form == Form::JsonLines { "}\n" } else { "\n" });
    }
    Ok(text)
}

/// A cell of CSV (RFC 4180). An empty text is no null, and a line of blanks alone is one that readers skip.
fn quoted(text: &str) -> String {
    if text.is_empty() || text.trim() != text || text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
