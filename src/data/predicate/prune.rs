//! Partitions of which no row can be selected, from what is known of their values.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::compare::{ArrowResult, Test};
use super::evaluate::{Bound, Node, broken, fitting};
use super::expr::Op;
use crate::error::Result;

/// What is known of a column in a partition.
#[derive(Clone, Debug, Default)]
pub(in crate::data) struct Known {
    /// Between what its values lie that are neither null nor NaN: two arrays of one value.
    pub(in crate::data) bounds: Option<[ArrayRef; 2]>,
    /// Its nulls.
    pub(in crate::data) nulls: Option<u64>,
}

/// Which answers the rows of a partition can have, as far as is known. Unknown needs no place here: it makes neither of the
/// others out of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answers {
    yes: bool,
    no: bool,
}

impl Answers {
    const ANY: Self = Self { yes: true, no: true };

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
    /// Whether what is known of a partition with `rows` rows proves that no row of it is selected. `known` gives what is known
    /// of a column, by its name.
    pub(in crate::data) fn excludes(&self, rows: u64, known: impl Fn(&str) -> Result<Known>) -> Result<bool> {
        let of_column = |(name, data_type): &(String, DataType)| {
            let Known { bounds, nulls } = known(name)?;
            let fitted = match &bounds {
                Some([low, high]) => fitting(low, data_type)?.zip(fitting(high, data_type)?),
                None => None,
            };
            Ok(Known { bounds: fitted.map(|(low, high)| [low, high]), nulls })
        };
        let known = self.columns.iter().map(of_column).collect::<Result<Vec<_>>>()?;
        Ok(!self.root.answers(&known, rows).map_err(|cause| broken(&cause))?.yes)
    }
}

impl Node {
    /// The answers that the rows of a partition with `rows` rows can have.
    fn answers(&self, known: &[Known], rows: u64) -> ArrowResult<Answers> {
        let series = |parts: &[Self], join: fn(Answers, Answers) -> Answers, of_none: bool| {
            let mut joined = Answers { yes: of_none, no: !of_none };
            for part in parts {
                joined = join(joined, part.answers(known, rows)?);
            }
            ArrowResult::Ok(joined)
        };
        Ok(match self {
            Self::Any(parts) => series(parts, Answers::or, false)?,
            Self::All(parts) => series(parts, Answers::and, true)?,
            Self::Not(inner) => inner.answers(known, rows)?.not(),
            Self::IsNull(column) => {
                let nulls = known[*column].nulls;
                Answers { yes: nulls != Some(0), no: nulls != Some(rows) }
            }
            Self::Leaf(column, test) => {
                let Known { bounds, nulls } = &known[*column];
                let compared = match bounds {
                    Some([low, high]) => test.answers(low, high)?,
                    None => Answers::ANY,
                };
                let has_values = *nulls != Some(rows);
                Answers { yes: compared.yes && has_values, no: compared.no && has_values }
            }
        })
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

    /// Whether values between `low` and `high`, arrays of one value, can pass the test, and whether they can fail it.
    fn answers(&self, low: &ArrayRef, high: &ArrayRef) -> ArrowResult<Answers> {
        let op = match self {
            Self::Constant(answer) => return Ok(Answers { yes: *answer, no: !*answer }),
            Self::Fixed(op, _) | Self::Float(op, _) | Self::Text(op, _) => *op,
        };
        // Both bounds, or neither: where one is NaN the other is worth nothing.
        let both = |of_low: Op, of_high: Op| -> ArrowResult<Option<(bool, bool)>> {
            let (low, high) = (self.with(of_low).apply(low)?, self.with(of_high).apply(high)?);
            Ok(low.iter().next().flatten().zip(high.iter().next().flatten()))
        };
        let answers = match op {
            Op::Less | Op::LessEqual => both(op, op)?.map(|(low, high)| Answers { yes: low, no: !high }),
            Op::Greater | Op::GreaterEqual => both(op, op)?.map(|(low, high)| Answers { yes: high, no: !low }),
            Op::Equal | Op::Different => {
                let (within, same) = (both(Op::LessEqual, Op::GreaterEqual)?, both(Op::Equal, Op::Equal)?);
                within.zip(same).map(|((low, high), (at_low, at_high))| {
                    let equal = Answers { yes: low && high, no: !(at_low && at_high) };
                    if op == Op::Equal { equal } else { equal.not() }
                })
            }
        };
        Ok(answers.unwrap_or(Answers::ANY))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array};
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
    use parquet::basic::ColumnOrder;
    use parquet::file::metadata::{FileMetaData, ParquetMetaDataBuilder, RowGroupMetaData};
    use parquet::file::properties::{EnabledStatistics, WriterProperties};
    use parquet::file::statistics::{Statistics as ChunkStatistics, ValueStatistics};

    use super::super::second_opinion::{Random, expression, random_rows};
    use super::super::testing::{bind, column};
    use super::*;
    use crate::data::parquet::{bound_arrays, nulls};

    /// For each row group of a file of flat columns, whether it is excluded.
    fn prune(bound: &Bound, metadata: &ArrowReaderMetadata) -> Result<Vec<bool>> {
        let about = metadata.metadata();
        let of_group = |group: usize| {
            let known = |name: &str| {
                let (leaf, field) = metadata.schema().column_with_name(name).expect("a column of the file");
                Ok(Known { bounds: bound_arrays(metadata, group, leaf, field), nulls: nulls(metadata, group, leaf) })
            };
            bound.excludes(u64::try_from(about.row_group(group).num_rows()).expect("rows"), known)
        };
        (0..about.num_row_groups()).map(of_group).collect()
    }

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
            let skipped = prune(&bound, &metadata).unwrap_or_else(|error| panic!("{text}: {error}"));
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
            let skipped = bind(text, &batches[0]).and_then(|bound| prune(&bound, &metadata)).expect("an expression");
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
        assert_eq!(prune(bound, metadata).expect("a footer of that file"), [expected]);
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
