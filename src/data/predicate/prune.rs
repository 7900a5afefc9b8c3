//! Row groups of which no row can be selected, from what their statistics say.

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::nullif;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::ColumnOrder;
use parquet::file::statistics::Statistics as ChunkStatistics;

use super::compare::{ArrowResult, Test};
use super::evaluate::{Bound, Node, broken, fitting};
use super::expr::Op;
use crate::error::{Error, Result};

/// What the values of a row group lie between, for all row groups of a file.
struct Statistics {
    /// Lower and upper bounds, `[groups]`, null where they are missing or not to be trusted.
    low: ArrayRef,
    high: ArrayRef,
    /// Nulls, `[groups]`, `None` where it is not said.
    nulls: Vec<Option<u64>>,
}

/// Which answers the rows of a row group can have, as far as its statistics show. Unknown needs no place here: it makes
/// neither of the others out of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answers {
    yes: bool,
    no: bool,
}

impl Answers {
    fn and(self, other: Self) -> Self {
        Self { yes: self.yes && other.yes, no: self.no || other.no }
    }

    fn not(self) -> Self {
        Self { yes: self.no, no: self.yes }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

impl Bound {
    /// For each row group of a file, whether its statistics prove that no row of it is selected. Statistics that are
    /// missing, of an order that is not defined, or NaN prove nothing.
    pub(in crate::data) fn prune(&self, metadata: &ArrowReaderMetadata) -> Result<Vec<bool>> {
        let rows: Vec<u64> =
            metadata.metadata().row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).collect();
        let statistics = self
            .columns
            .iter()
            .map(|(name, data_type)| statistics(metadata, name, data_type))
            .collect::<Result<Vec<_>>>()?;
        let answers = self.root.answers(&statistics, &rows).map_err(|cause| broken(&cause))?;
        Ok(answers.into_iter().map(|answers| !answers.yes).collect())
    }
}

/// The statistics of a column; `None` if the file has no column of that name and type.
fn statistics(metadata: &ArrowReaderMetadata, name: &str, data_type: &DataType) -> Result<Option<Statistics>> {
    let failed =
        |cause: &dyn std::fmt::Display| Error::internal(format!("the statistics of `{name}` cannot be read: {cause}"));
    let Ok(converter) = StatisticsConverter::try_new(name, metadata.schema(), metadata.parquet_schema()) else {
        return Ok(None);
    };
    let Some(column) = converter.parquet_column_index() else { return Ok(None) };
    let converter = converter.with_missing_null_counts_as_zero(false);
    let groups = metadata.metadata().row_groups();
    // Before orders were defined, texts and unsigned numbers were compared as signed bytes.
    let ordered = matches!(
        metadata.metadata().file_metadata().column_order(column),
        ColumnOrder::TYPE_DEFINED_ORDER(_) | ColumnOrder::IEEE_754_TOTAL_ORDER
    );
    let distrusted: BooleanArray = groups
        .iter()
        .map(|group| {
            let old = group.column(column).statistics().is_some_and(ChunkStatistics::is_min_max_deprecated);
            Some(old || !ordered)
        })
        .collect();
    let bounds = |bounds: parquet::errors::Result<ArrayRef>| {
        let bounds = nullif(&bounds.map_err(|cause| failed(&cause))?, &distrusted).map_err(|cause| failed(&cause))?;
        fitting(&bounds, data_type)
    };
    let (Some(low), Some(high)) =
        (bounds(converter.row_group_mins(groups))?, bounds(converter.row_group_maxes(groups))?)
    else {
        return Ok(None);
    };
    let nulls = converter.row_group_null_counts(groups).map_err(|cause| failed(&cause))?;
    Ok(Some(Statistics { low, high, nulls: nulls.iter().collect() }))
}

impl Node {
    /// The answers that the row groups with `rows` rows can have.
    fn answers(&self, statistics: &[Option<Statistics>], rows: &[u64]) -> ArrowResult<Vec<Answers>> {
        let anything = || vec![Answers { yes: true, no: true }; rows.len()];
        let series = |parts: &[Self], join: fn(Answers, Answers) -> Answers, of_none: bool| {
            let mut joined = vec![Answers { yes: of_none, no: !of_none }; rows.len()];
            for part in parts {
                for (before, next) in joined.iter_mut().zip(part.answers(statistics, rows)?) {
                    *before = join(*before, next);
                }
            }
            Ok(joined)
        };
        match self {
            Self::Any(parts) => series(parts, Answers::or, false),
            Self::All(parts) => series(parts, Answers::and, true),
            Self::Not(inner) => Ok(inner.answers(statistics, rows)?.into_iter().map(Answers::not).collect()),
            Self::IsNull(column) => Ok(statistics[*column].as_ref().map_or_else(anything, |column| {
                let nulls = column.nulls.iter().zip(rows);
                nulls.map(|(nulls, rows)| Answers { yes: *nulls != Some(0), no: *nulls != Some(*rows) }).collect()
            })),
            Self::Leaf(column, test) => match &statistics[*column] {
                Some(column) => {
                    let compared = test.answers(&column.low, &column.high)?;
                    let nulls = column.nulls.iter().zip(rows);
                    Ok(compared
                        .into_iter()
                        .zip(nulls)
                        .map(|((yes, no), (nulls, rows))| {
                            let values = *nulls != Some(*rows);
                            Answers { yes: yes && values, no: no && values }
                        })
                        .collect())
                }
                None => Ok(anything()),
            },
        }
    }
}

impl Test {
    fn with(&self, op: Op) -> Self {
        match self {
            Self::Constant(answer) => Self::Constant(*answer),
            Self::Fixed(_, value) => Self::Fixed(op, value.clone()),
            Self::Float(_, value) => Self::Float(op, *value),
            Self::Text(_, text) => Self::Text(op, text.clone()),
        }
    }

    /// Whether values between bounds `low` and `high` can pass the test, and whether they can fail it.
    fn answers(&self, low: &ArrayRef, high: &ArrayRef) -> ArrowResult<Vec<(bool, bool)>> {
        let op = match self {
            Self::Constant(answer) => return Ok(vec![(*answer, !*answer); low.len()]),
            Self::Fixed(op, _) | Self::Float(op, _) | Self::Text(op, _) => *op,
        };
        // Both bounds, or neither: where one is missing or NaN the other is worth nothing.
        let both = |of_low: Op, of_high: Op| -> ArrowResult<Vec<Option<(bool, bool)>>> {
            let (low, high) = (self.with(of_low).apply(low)?, self.with(of_high).apply(high)?);
            Ok(low.iter().zip(high.iter()).map(|(low, high)| low.zip(high)).collect())
        };
        let answers: Vec<Option<(bool, bool)>> = match op {
            Op::Less | Op::LessEqual => {
                both(op, op)?.into_iter().map(|sides| sides.map(|(low, high)| (low, !high))).collect()
            }
            Op::Greater | Op::GreaterEqual => {
                both(op, op)?.into_iter().map(|sides| sides.map(|(low, high)| (high, !low))).collect()
            }
            Op::Equal | Op::Different => {
                let within = both(Op::LessEqual, Op::GreaterEqual)?;
                let same = both(Op::Equal, Op::Equal)?;
                let equal = within.into_iter().zip(same).map(|(within, same)| {
                    let ((low, high), (at_low, at_high)) = within.zip(same)?;
                    let (equal, different) = (low && high, !(at_low && at_high));
                    Some(if op == Op::Equal { (equal, different) } else { (different, equal) })
                });
                equal.collect()
            }
        };
        Ok(answers.into_iter().map(|answers| answers.unwrap_or((true, true))).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray, UInt64Array};
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
    use parquet::file::metadata::{FileMetaData, ParquetMetaDataBuilder, RowGroupMetaData};
    use parquet::file::properties::{EnabledStatistics, WriterProperties};
    use parquet::file::statistics::ValueStatistics;

    use super::super::second_opinion::{Random, expression, random_rows};
    use super::super::testing::{bind, column};
    use super::*;

    /// A batch as a Parquet file with `group` rows in a row group, and where it lies.
    fn write(batch: &RecordBatch, group: usize, statistics: bool) -> (ArrowReaderMetadata, Vec<RecordBatch>) {
        let statistics = if statistics { EnabledStatistics::Chunk } else { EnabledStatistics::None };
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(group))
            .set_statistics_enabled(statistics)
            .set_statistics_truncate_length(Some(1));
        let mut file = tempfile::tempfile().expect("a file");
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties.build())).expect("a writer");
        writer.write(batch).expect("written");
        writer.close().expect("a footer");
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).expect("a footer");
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
        let reader = builder.with_batch_size(group).build().expect("a reader");
        (metadata, reader.map(|batch| batch.expect("rows")).collect())
    }

    #[test]
    fn no_row_group_with_a_selected_row_is_pruned() {
        let mut random = Random(2);
        let (mut pruned, mut empty, mut groups) = (0, 0, 0);
        for trial in 0..800 {
            let group = 1 + random.below(3);
            let (batch, _) = random_rows(6 * group, &mut random);
            let (metadata, batches) = write(&batch, group, trial % 10 > 0);
            let text = expression(random.below(4), &mut random).text(&mut random);
            let bound = bind(&text, &batches[0]).unwrap_or_else(|error| panic!("{text}: {error}"));
            let skipped = bound.prune(&metadata).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(skipped.len(), batches.len());
            for (batch, skipped) in batches.iter().zip(skipped) {
                let selected = bound.select(batch).expect("a batch of the file").true_count();
                assert!(!skipped || selected == 0, "{text}: {batch:?}");
                pruned += usize::from(skipped);
                empty += usize::from(selected == 0);
                groups += 1;
            }
        }
        assert!(pruned * 10 > empty * 7 && empty * 10 > groups * 3, "{pruned} of {empty} of {groups}");
    }

    #[test]
    fn row_groups_are_pruned_where_their_statistics_prove_it() {
        let array = Int64Array::from(vec![Some(1), Some(2), Some(5), Some(5), None, None, Some(7), None]);
        let groups = |batch: &RecordBatch, text: &str, statistics| {
            let (metadata, batches) = write(batch, 2, statistics);
            let skipped = bind(text, &batches[0]).and_then(|bound| bound.prune(&metadata)).expect("an expression");
            skipped.into_iter().map(u8::from).collect::<Vec<_>>()
        };
        let batch = column(array);
        let cases: &[(&str, [u8; 4])] = &[
            ("x > 2", [1, 0, 1, 0]),
            ("x >= 2", [0, 0, 1, 0]),
            ("x < 1", [1, 1, 1, 1]),
            ("x <= 1", [0, 1, 1, 1]),
            ("x = 5", [1, 0, 1, 1]),
            ("x != 5", [0, 1, 1, 0]),
            ("not (x = 5)", [0, 1, 1, 0]),
            ("not (x < 6)", [1, 1, 1, 0]),
            ("not (x >= 2)", [0, 1, 1, 1]),
            ("x in (2, 7)", [0, 1, 1, 0]),
            ("x between 3 and 6", [1, 0, 1, 1]),
            ("x is null", [1, 1, 0, 0]),
            ("x is not null", [0, 0, 1, 0]),
            ("x < 6 or x is null", [0, 0, 0, 0]),
            ("not (x < 6 and x is null)", [0, 0, 1, 0]),
            ("x < 1e30 and x > 6.5", [1, 1, 1, 0]),
            ("x != 1e30", [0, 0, 1, 0]),
        ];
        for (text, expected) in cases {
            assert_eq!(groups(&batch, text, true), expected, "{text}");
            assert_eq!(groups(&batch, text, false), [0; 4], "{text}");
        }
        // Cut to one byte, as the bounds of long texts are.
        let texts = column(StringArray::from(vec!["ab", "ac", "b", "b"]));
        assert_eq!(groups(&texts, "x = 'a'", true), [0, 1]);
        assert_eq!(groups(&texts, "x != 'b' and x > 'ad'", true), [0, 1]);
        assert_eq!(groups(&texts, "x = 'c'", true), [1, 1]);
        // The only NaN of a group leaves no bounds, one of two is unknown.
        let floats = column(Float64Array::from(vec![f64::NAN, f64::NAN, 1.0, f64::NAN, -0.0, 0.0]));
        assert_eq!(groups(&floats, "x > 1", true), [0, 1, 1]);
        assert_eq!(groups(&floats, "x = 0", true), [0, 1, 0]);
        assert_eq!(groups(&floats, "x != 0", true), [0, 0, 1]);
        assert_eq!(groups(&floats, "x is null", true), [1, 1, 1]);
        let flags = column(BooleanArray::from(vec![true, true, false, true, false, false]));
        assert_eq!(groups(&flags, "x", true), [0, 0, 1]);
        assert_eq!(groups(&flags, "not x", true), [1, 0, 0]);
    }

    /// What [`write`] gave, with the orders of its columns and its row groups changed.
    fn changed(
        metadata: &ArrowReaderMetadata,
        orders: Option<Vec<ColumnOrder>>,
        groups: Vec<RowGroupMetaData>,
    ) -> ArrowReaderMetadata {
        let file = metadata.metadata().file_metadata();
        let keys = file.key_value_metadata().cloned();
        let file = FileMetaData::new(file.version(), file.num_rows(), None, keys, file.schema_descr_ptr(), orders);
        let parquet = ParquetMetaDataBuilder::new(file).set_row_groups(groups).build();
        ArrowReaderMetadata::try_new(Arc::new(parquet), ArrowReaderOptions::default()).expect("metadata")
    }

    /// With these statistics of its only column in its only row group.
    fn with_statistics(metadata: &ArrowReaderMetadata, statistics: ChunkStatistics) -> ArrowReaderMetadata {
        let group = metadata.metadata().row_group(0);
        let column = group.column(0).clone().into_builder().set_statistics(statistics).build().expect("a column");
        let group = group.clone().into_builder().set_column_metadata(vec![column]).build().expect("a row group");
        changed(metadata, metadata.metadata().file_metadata().column_orders().cloned(), vec![group])
    }

    /// Asserts that the only row group is left out, or that it is not.
    #[track_caller]
    fn assert_pruned(bound: &Bound, metadata: &ArrowReaderMetadata, expected: bool) {
        assert_eq!(bound.prune(metadata).expect("a footer of that file"), [expected]);
    }

    #[test]
    fn statistics_that_are_missing_or_cannot_be_trusted_prune_nothing() {
        let (metadata, batches) = write(&column(Int64Array::from(vec![1, 2])), 2, true);
        let bound = bind("x > 2", &batches[0]).expect("an expression");
        assert_pruned(&bound, &metadata, true);
        let groups = metadata.metadata().row_groups().to_vec();
        let orders = metadata.metadata().file_metadata().column_orders().cloned();
        assert_pruned(&bound, &changed(&metadata, orders, groups.clone()), true);
        assert_pruned(&bound, &changed(&metadata, None, groups), false);
        // As writers before parquet-format 2.4 left them.
        let old = ChunkStatistics::Int64(ValueStatistics::new(Some(1), Some(2), None, Some(0), true));
        assert_pruned(&bound, &with_statistics(&metadata, old), false);
        // A count of nulls that is missing does not say that there are none.
        let uncounted = ChunkStatistics::Int64(ValueStatistics::new(Some(1), Some(2), None, None, false));
        let uncounted = with_statistics(&metadata, uncounted);
        assert_pruned(&bound, &uncounted, true);
        let is_null = bind("x is null", &batches[0]).expect("an expression");
        assert_pruned(&is_null, &metadata, true);
        assert_pruned(&is_null, &uncounted, false);
        // One bound alone, or beside NaN.
        let (floats, batches) = write(&column(Float64Array::from(vec![1.0, 2.0])), 2, true);
        let greater = bind("x > 2", &batches[0]).expect("an expression");
        for (low, high, pruned) in
            [(Some(1.0), Some(2.0), true), (Some(f64::NAN), Some(2.0), false), (None, Some(2.0), false)]
        {
            let bounds = ChunkStatistics::Double(ValueStatistics::new(low, high, None, Some(0), false));
            assert_pruned(&greater, &with_statistics(&floats, bounds), pruned);
        }
        // A column that was bound to another type.
        let other = bind("x > 2", &column(UInt64Array::from(vec![1]))).expect("an expression");
        assert_pruned(&other, &metadata, false);
    }
}
