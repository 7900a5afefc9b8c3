//! Some columns of a row group as the decoder asks for them. Whatever is done here is done for these columns alone: files
//! have tens of thousands of them, each decoded by a job of few.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups, RowSelection};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::column::page::{PageIterator, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::{SchemaDescriptor, Type};

use super::input::Input;
use super::open::ParquetFile;

/// Bytes that are read ahead in one go.
const AHEAD: u64 = 1 << 20;
/// Bytes of a chunk that is read ahead although all of them together are more: what its first page takes anyway.
const SMALL: u64 = 1 << 16;

/// The leaves of some root columns in one row group.
pub(super) struct Chunks<'f> {
    metadata: &'f ParquetMetaData,
    group: usize,
    /// Their places in the file, ascending.
    leaves: Vec<usize>,
    /// The file as each of them reads it.
    inputs: Vec<Arc<Input>>,
}

impl<'f> Chunks<'f> {
    /// Those of the root columns `roots`, ascending.
    pub(super) fn open(file: &'f ParquetFile, group: usize, roots: &[usize]) -> Result<Self> {
        let metadata = file.metadata.metadata();
        let about = metadata.row_group(group);
        let leaves: Vec<usize> = roots.iter().flat_map(|&root| file.leaves[root].clone()).collect();
        let inputs = inputs(&file.about.path, about, &leaves)?;
        Ok(Self { metadata, group, leaves, inputs })
    }

    /// Decodes them, `batch_rows` at a time: all rows, or those of `selection`.
    pub(super) fn reader(
        &self,
        file: &ParquetFile,
        roots: &[usize],
        batch_rows: usize,
        selection: Option<RowSelection>,
    ) -> Result<ParquetRecordBatchReader> {
        let all = file.metadata.parquet_schema().root_schema();
        let types = roots.iter().map(|&root| all.get_fields()[root].clone()).collect();
        let schema = SchemaDescriptor::new(Arc::new(Type::group_type_builder(all.name()).with_fields(types).build()?));
        let fields = file.metadata.schema().fields();
        let hint = file.is_hinted.then(|| roots.iter().map(|&root| fields[root].clone()).collect());
        let levels = parquet_to_arrow_field_levels(&schema, ProjectionMask::all(), hint.as_ref())?;
        let batch_rows = batch_rows.min(self.num_rows());
        ParquetRecordBatchReader::try_new_with_row_groups(&levels, self, batch_rows, selection)
    }

    /// The pages of one of the leaves.
    pub(super) fn pages(&self, leaf: usize) -> Result<SerializedPageReader<Input>> {
        let place = self.leaves.binary_search(&leaf).expect("it is one of them");
        let chunk = self.metadata.row_group(self.group).column(leaf);
        SerializedPageReader::new(self.inputs[place].clone(), chunk, self.num_rows(), None)
    }
}

/// The file for each leaf. Chunks that are small lie beside each other by the thousand, and to go to each of their pages
/// would take longer than to decode it: they are read together.
fn inputs(path: &Path, about: &RowGroupMetaData, leaves: &[usize]) -> Result<Vec<Arc<Input>>> {
    let parts: Vec<Range<u64>> = leaves
        .iter()
        .map(|&leaf| {
            let (start, length) = about.column(leaf).byte_range();
            start..start.saturating_add(length)
        })
        .collect();
    let length = |part: &Range<u64>| part.end - part.start;
    let all = parts.iter().map(length).fold(0, u64::saturating_add);
    let file = Input::open(path).map_err(|cause| ParquetError::External(Box::new(cause)))?;
    let alone = Arc::new(file.clone());
    let mut inputs = Vec::with_capacity(leaves.len());
    while let Some(first) = parts.get(inputs.len()) {
        if length(first) > if all > AHEAD { SMALL } else { AHEAD } {
            inputs.push(alone.clone());
            continue;
        }
        let (mut together, mut count) = (first.clone(), 1);
        for next in &parts[inputs.len() + 1..] {
            if next.start != together.end || next.end - together.start > AHEAD {
                break;
            }
            together.end = next.end;
            count += 1;
        }
        let ahead = Arc::new(file.read_ahead(&together));
        inputs.extend(std::iter::repeat_n(ahead, count));
    }
    Ok(inputs)
}

impl RowGroups for Chunks<'_> {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.row_group(self.group).num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, place: usize) -> Result<Box<dyn PageIterator>> {
        Ok(Box::new(Pages(Some(self.pages(self.leaves[place])?))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata.row_group(self.group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.metadata
    }
}

/// The pages of the only row group.
struct Pages(Option<SerializedPageReader<Input>>);

impl Iterator for Pages {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|pages| Ok(Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for Pages {}
