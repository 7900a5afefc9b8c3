//! What the bytes of a Parquet file say that its reader passes over: the type that each column chunk gives itself, whether
//! pages have checksums, and which columns are the index of a data frame.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use thrift::protocol::{TCompactInputProtocol, TFieldIdentifier, TInputProtocol, TType};

use crate::data::frames::{PANDAS, index_of_frame};

type Protocol<'b> = TCompactInputProtocol<&'b [u8]>;

/// Bytes behind the footer: its length, and `PAR1`.
const TAIL: u64 = 8;

/// The first column chunk whose own type is not that of the schema: its row group, its leaf, and the number of the type
/// (parquet.thrift, `Type`). `None` too where the footer cannot be walked through: its reader has to say why.
pub(super) fn chunk_of_another_type(file: &mut File, metadata: &ParquetMetaData) -> Option<(usize, usize, i32)> {
    let bytes = footer(file).ok()?;
    let types = chunk_types(&bytes).ok()?;
    let schema = metadata.file_metadata().schema_descr();
    types.iter().enumerate().find_map(|(group, types)| {
        let differs = |(leaf, own): (usize, &Option<i32>)| {
            let own = (*own)?;
            (leaf < schema.num_columns() && schema.column(leaf).physical_type() as i32 != own).then_some((leaf, own))
        };
        let (leaf, own) = types.iter().enumerate().find_map(differs)?;
        Some((group, leaf, own))
    })
}

/// The bytes of the footer.
fn footer(file: &mut File) -> std::io::Result<Vec<u8>> {
    let end = file.seek(SeekFrom::End(-(TAIL as i64)))?;
    let mut length = [0; 4];
    file.read_exact(&mut length)?;
    let length = u64::from(u32::from_le_bytes(length)).min(end);
    file.seek(SeekFrom::Start(end - length))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The types of all chunks of all row groups: `FileMetaData.row_groups[].columns[].meta_data.type`.
fn chunk_types(footer: &[u8]) -> thrift::Result<Vec<Vec<Option<i32>>>> {
    let mut protocol = TCompactInputProtocol::new(footer);
    let mut groups = Vec::new();
    fields(&mut protocol, |protocol, field| {
        if field.id != Some(4) {
            return protocol.skip(field.field_type);
        }
        for _ in 0..protocol.read_list_begin()?.size {
            let mut types = Vec::new();
            fields(protocol, |protocol, field| {
                if field.id != Some(1) {
                    return protocol.skip(field.field_type);
                }
                for _ in 0..protocol.read_list_begin()?.size {
                    types.push(chunk_type(protocol)?);
                }
                Ok(())
            })?;
            groups.push(types);
        }
        Ok(())
    })?;
    Ok(groups)
}

/// The type of a chunk, `None` if it does not say one: what is encrypted does not.
fn chunk_type(protocol: &mut Protocol<'_>) -> thrift::Result<Option<i32>> {
    let mut own = None;
    fields(protocol, |protocol, field| {
        if field.id != Some(3) {
            return protocol.skip(field.field_type);
        }
        fields(protocol, |protocol, field| {
            if field.id != Some(1) {
                return protocol.skip(field.field_type);
            }
            own = Some(protocol.read_i32()?);
            Ok(())
        })
    })?;
    Ok(own)
}

/// Goes through the fields of a struct; `take` reads or skips the value of each.
fn fields(
    protocol: &mut Protocol<'_>,
    mut take: impl FnMut(&mut Protocol<'_>, &TFieldIdentifier) -> thrift::Result<()>,
) -> thrift::Result<()> {
    protocol.read_struct_begin()?;
    loop {
        let field = protocol.read_field_begin()?;
        if field.field_type == TType::Stop {
            return protocol.read_struct_end();
        }
        take(protocol, &field)?;
    }
}

/// Bytes of a page header that hold its first fields: a type and two sizes, at most six bytes each, before the checksum.
const PAGE_HEAD: u64 = 32;

/// Whether the first page of a file has a checksum; `None` if there is no page, or none that can be read.
pub(super) fn has_page_checksums(file: &mut File, metadata: &ParquetMetaData) -> Option<bool> {
    let chunk =
        metadata.row_groups().iter().flat_map(RowGroupMetaData::columns).find(|chunk| chunk.num_values() > 0)?;
    // A damaged footer may say any number.
    let first = [Some(chunk.data_page_offset()), chunk.dictionary_page_offset()].into_iter().flatten().min()?;
    file.seek(SeekFrom::Start(u64::try_from(first).ok()?)).ok()?;
    let mut bytes = Vec::new();
    file.take(PAGE_HEAD).read_to_end(&mut bytes).ok()?;
    let mut protocol = TCompactInputProtocol::new(bytes.as_slice());
    protocol.read_struct_begin().ok()?;
    // PageHeader: 1 type, 2 uncompressed_page_size, 3 compressed_page_size, 4 crc, 5 and on what kind of page it is.
    loop {
        let field = protocol.read_field_begin().ok()?;
        match (field.field_type, field.id) {
            (TType::I32, Some(4)) => return Some(true),
            (TType::I32, Some(1..=3)) => drop(protocol.read_i32().ok()?),
            _ => return Some(false),
        }
    }
}

/// Columns that hold the index of a data frame.
pub(super) fn index_columns(metadata: &ParquetMetaData) -> Vec<String> {
    let file = metadata.file_metadata();
    let entry = file.key_value_metadata().into_iter().flatten().find(|entry| entry.key == PANDAS);
    let columns = file.schema_descr().root_schema().get_fields().iter().map(|field| field.name());
    index_of_frame(entry.and_then(|entry| entry.value.as_deref()), columns)
}
