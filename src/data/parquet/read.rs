//! Columns of a row group, batch by batch, with panics of the decoder caught and what comes out held against the footer.

use std::ops::Range;

use arrow::array::{Array, ArrayRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection};
use parquet::column::page::PageReader;
use parquet::errors::ParquetError;

use super::ParquetFiles;
use super::bounds::Bounds;
use super::chunks::Chunks;
use super::foreign::undecodable;
use super::input::{NO_DAMAGE, is_of_system};
use super::open::{ParquetFile, Root};
use super::schema::widened;
use crate::data::source::{ReadRequest, Source, Take};
use crate::error::{Error, Result};
use crate::panics::without_panic;
use crate::wording::plain;

/// Hands the rows of `request` to `take`. Proves that as many came out of the file as its footer says, unless `take` breaks off.
pub(super) fn read(source: &ParquetFiles, request: &ReadRequest<'_>, take: &mut Take<'_>) -> Result<()> {
    let all = source.partitions()[request.partition].rows;
    #[expect(clippy::single_range_in_vec_init, reason = "one range of rows")]
    let whole = [0..all];
    let ranges = request.rows.unwrap_or(&whole);
    let expected: usize = ranges.iter().map(Range::len).sum();
    let mut reader = Reader::open(source, request)?;
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(request.columns.len());
    // Rows that came before, and those of them that lie before the range that is read.
    let (mut seen, mut before) = (0, 0);
    let mut left = ranges;
    while seen < expected {
        let Some(rows) = reader.next(expected - seen)? else { break };
        if seen + rows > expected {
            return Err(reader.too_many_rows());
        }
        arrays.clear();
        for &column in request.columns {
            arrays.push(reader.column(column)?);
        }
        // A batch may have rows of several ranges.
        let end = seen + rows;
        let mut from = seen;
        while from < end {
            let range = &left[0];
            let to = end.min(before + range.len());
            let first = range.start + (from - before);
            let flow = if to - from == rows {
                take(first, &arrays)?
            } else {
                let piece: Vec<ArrayRef> = arrays.iter().map(|array| array.slice(from - seen, to - from)).collect();
                take(first, &piece)?
            };
            if flow.is_break() {
                return Ok(());
            }
            if to == before + range.len() {
                before = to;
                left = &left[1..];
            }
            from = to;
        }
        seen = end;
    }
    if seen < expected {
        return Err(reader.damaged(&format!("{seen} rows came out of it, its footer says {expected}")));
    }
    reader.check_end()
}

/// The columns of a row group's file that a request reads.
struct Reader<'s> {
    source: &'s ParquetFiles,
    request: &'s ReadRequest<'s>,
    file: &'s ParquetFile,
    /// Rows of the row group.
    rows: usize,
    /// Places in the file, ascending.
    places: Vec<usize>,
    decoder: Option<(Chunks<'s>, ParquetRecordBatchReader)>,
    batch: Option<RecordBatch>,
    /// Rows of the batch.
    batch_rows: usize,
    /// What the footer says of each of the file's columns, the nulls that came out of it, and whether all of its values are held
    /// against the footer here.
    bounds: Vec<(Bounds, u64, bool)>,
}

impl<'s> Reader<'s> {
    fn open(source: &'s ParquetFiles, request: &'s ReadRequest<'s>) -> Result<Self> {
        let file = source.file_of(request.partition);
        let group = source.places[request.partition].group;
        let mut roots: Vec<&Root> =
            request.columns.iter().filter_map(|&column| source.root(request.partition, column)).collect();
        roots.sort_unstable_by_key(|root| root.place);
        let bounds_of = |root: &Root| {
            let field = file.metadata.schema().field(root.place);
            root.leaf.map_or_else(Bounds::default, |leaf| Bounds::of(&file.metadata, group, leaf, field))
        };
        let mut opened = Self {
            source,
            request,
            file,
            rows: source.partitions()[request.partition].rows,
            places: roots.iter().map(|root| root.place).collect(),
            decoder: None,
            batch: None,
            batch_rows: 0,
            bounds: Vec::new(),
        };
        if opened.places.is_empty() {
            return Ok(opened);
        }
        // Where the file has another type, no caller can hold the column's values against its bounds.
        let is_checked = |root: &Root| request.checks_values || root.widened.is_some();
        let bounds = without_panic(|| roots.iter().map(|root| (bounds_of(root), 0, is_checked(root))).collect());
        opened.bounds = bounds.map_err(|cause| opened.damaged(&cause))?;
        let decoder = without_panic(|| {
            let chunks = Chunks::open(file, group, &opened.places)?;
            let selection =
                request.rows.map(|ranges| RowSelection::from_consecutive_ranges(ranges.iter().cloned(), opened.rows));
            let decoder = chunks.reader(file, &opened.places, request.batch_rows, selection)?;
            Ok((chunks, decoder))
        })
        .and_then(|opened| opened.map_err(|cause: ParquetError| cause.to_string()))
        .map_err(|cause| opened.damaged(&cause))?;
        opened.decoder = Some(decoder);
        Ok(opened)
    }

    /// Goes to the next batch; its rows, or `None` at the end. Of keys alone there are as many as are `left`.
    fn next(&mut self, left: usize) -> Result<Option<usize>> {
        let Some((_, decoder)) = &mut self.decoder else {
            self.batch_rows = self.request.batch_rows.min(left);
            return Ok(Some(self.batch_rows));
        };
        let next =
            without_panic(|| decoder.next()).and_then(|batch| batch.transpose().map_err(|cause| cause.to_string()));
        self.batch = next.map_err(|cause| self.damaged(&cause))?;
        self.batch_rows = self.batch.as_ref().map_or(0, RecordBatch::num_rows);
        let Some(batch) = &self.batch else { return Ok(None) };
        let mut contradiction = None;
        for (array, (bounds, nulls, is_checked)) in batch.columns().iter().zip(&mut self.bounds) {
            *nulls += array.logical_null_count() as u64;
            if *is_checked {
                contradiction = contradiction.or_else(|| bounds.contradiction(array));
            }
        }
        match contradiction {
            Some(fact) => Err(self.damaged(&fact)),
            None => Ok(Some(self.batch_rows)),
        }
    }

    /// An error if more comes after all rows that the footer says, or if a whole row group has other nulls.
    fn check_end(&mut self) -> Result<()> {
        if self.decoder.is_none() {
            return Ok(());
        }
        let has_more = match self.request.rows {
            None => self.next(0)?.is_some(),
            // The decoder stops with its selection; how many rows there are stands in the heads of the pages.
            Some(ranges) if ranges.last().is_some_and(|range| range.end == self.rows) => {
                self.has_other_rows_in_pages()?
            }
            Some(_) => false,
        };
        if has_more {
            return Err(self.too_many_rows());
        }
        let wrong = |(bounds, nulls, _): &(Bounds, u64, bool)| bounds.wrong_nulls(*nulls);
        match self.bounds.iter().find_map(wrong).filter(|_| self.request.rows.is_none()) {
            Some(fact) => Err(self.damaged(&fact)),
            None => Ok(()),
        }
    }

    /// Whether the heads of the pages of a column that is not nested speak of other rows than the row group has.
    fn has_other_rows_in_pages(&self) -> Result<bool> {
        let Some((chunks, _)) = &self.decoder else { return Ok(false) };
        let is_flat = |place: &&usize| !self.file.metadata.schema().field(**place).data_type().is_nested();
        let has_others = |leaf: usize| -> std::result::Result<bool, ParquetError> {
            let mut pages = chunks.pages(leaf)?;
            let mut rows = 0;
            while let Some(page) = pages.peek_next_page()? {
                rows += page.num_rows.or(page.num_levels).unwrap_or(0);
                pages.skip_next_page()?;
            }
            Ok(rows != self.rows)
        };
        for place in self.places.iter().filter(is_flat) {
            let found = without_panic(|| has_others(self.file.leaves[*place].start));
            if found.and_then(|found| found.map_err(|cause| cause.to_string())).map_err(|cause| self.damaged(&cause))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn too_many_rows(&self) -> Error {
        self.damaged(&format!("more rows come out of it than the {} that its footer says", self.rows))
    }

    /// A column of the source in this batch.
    fn column(&self, column: usize) -> Result<ArrayRef> {
        let about = &self.source.columns()[column];
        if let Some(key) = column.checked_sub(self.source.roots) {
            return self.file.constants[key].rows(self.batch_rows, &about.data_type);
        }
        let root = self.source.root(self.request.partition, column);
        let Some((Root { place, widened: wide, .. }, batch)) = root.zip(self.batch.as_ref()) else {
            return Err(Error::internal(format!("column `{}` is not in all files", about.name)));
        };
        let place = self.places.binary_search(place).expect("it was projected");
        let array = batch.column(place);
        match wide {
            None => Ok(array.clone()),
            Some(data_type) => widened(array, data_type).map_err(|cause| self.not_widened(column, &cause)),
        }
    }

    /// The values of a column do not fit into the type that it has over all files.
    fn not_widened(&self, column: usize, cause: &str) -> Error {
        let about = &self.source.columns()[column];
        Error::data(
            format!(
                "{}: column `{}` cannot be brought to {}, which it is over all files: {cause}",
                self.file.about.path.display(),
                plain(&about.name),
                about.data_type
            ),
            "Write the files alike, or leave the column out with ⟦ignore⟧.",
        )
    }

    /// The error where the decoder fails. Of several columns it does not say which one: the first that fails alone.
    fn damaged(&self, cause: &str) -> Error {
        let mut columns: Vec<(usize, usize)> = self
            .request
            .columns
            .iter()
            .filter_map(|&column| Some((self.source.root(self.request.partition, column)?.place, column)))
            .collect();
        columns.sort_unstable();
        let alone = |&(_, column): &(usize, usize)| {
            let request = ReadRequest { columns: &[column], ..*self.request };
            read(self.source, &request, &mut |_, _| Ok(std::ops::ControlFlow::Continue(()))).err()
        };
        let several = Some(&columns).filter(|columns| columns.len() > 1);
        let found = several.and_then(|columns| columns.iter().find_map(alone));
        found.unwrap_or_else(|| damaged(self.source, self.request.partition, self.request.columns, cause))
    }
}

/// The error where columns of a partition cannot be decoded.
pub(super) fn damaged(source: &ParquetFiles, partition: usize, columns: &[usize], cause: &str) -> Error {
    let what = match columns {
        [column] => format!("column `{}`", source.columns()[*column].name),
        columns => format!("one of {} columns", columns.len()),
    };
    let place = source.places[partition];
    // What the system says of a disk or a network is no damage.
    if is_of_system(cause) {
        let shown = source.files[place.file].about.path.display();
        return Error::data(
            format!(
                "{shown}: {what}, row group {} (rows from {}) cannot be read: {cause}",
                place.group, place.first_row
            ),
            NO_DAMAGE,
        );
    }
    undecodable(
        &source.files[place.file].about.path,
        &format!("{what}, row group {} (rows from {}) cannot be decoded: {cause}", place.group, place.first_row),
    )
}
