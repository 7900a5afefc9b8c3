//! What lies in Python's memory, as arrays of Arrow: the only place of the module without the compiler's guarantees.
//!
//! Arrays of the buffer protocol (PEP 3118) are taken by their addresses where their values lie next to each other, and copied
//! where they do not. Streams of the Arrow `PyCapsule` interface hand their batches over. Whoever changes an array while it is
//! read changes what is read, as everywhere in Python.
#![allow(unsafe_code, reason = "memory of Python is taken by its address")]

use std::ptr::NonNull;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, PrimitiveArray, RecordBatch};
use arrow::buffer::{BooleanBuffer, Buffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow::record_batch::RecordBatchReader;
use pyo3::buffer::{ElementType, PyUntypedBuffer};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use rayon::prelude::*;

use crate::run::in_pool;

/// The name of the capsule with a stream of record batches.
const STREAM: &std::ffi::CStr = c"arrow_array_stream";

/// The record batches of an object with `__arrow_c_stream__`; at least one, which may be empty.
///
/// # Errors
/// `TypeError` if it has no such method, or gives no record batches.
pub(crate) fn batches(object: &Bound<'_, PyAny>) -> PyResult<Vec<RecordBatch>> {
    let capsule = object.call_method0("__arrow_c_stream__")?;
    let capsule = capsule.cast_into::<PyCapsule>().map_err(|_| {
        PyTypeError::new_err("`__arrow_c_stream__` gave no PyCapsule, which the Arrow PyCapsule interface asks for")
    })?;
    let pointer = capsule.pointer_checked(Some(STREAM))?;
    // SAFETY: a capsule of this name holds a stream, which is moved out of it.
    let reader = unsafe { RecordBatchStreamReader::from_raw(pointer.as_ptr().cast::<FFI_ArrowArrayStream>()) };
    let no_table = |cause: arrow::error::ArrowError| {
        PyTypeError::new_err(format!("the Arrow stream is no table of columns: {cause}"))
    };
    let reader = reader.map_err(no_table)?;
    let schema = reader.schema();
    // What makes the batches may need the interpreter's lock itself.
    let batches = object.py().detach(|| reader.collect::<Result<Vec<_>, _>>()).map_err(no_table)?;
    Ok(if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches })
}

/// A stream of record batches as a capsule, for whoever asks for `__arrow_c_stream__`.
pub(crate) fn capsule(py: Python<'_>, reader: Box<dyn RecordBatchReader + Send>) -> PyResult<Bound<'_, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), STREAM)
}

/// An array of Python by its address.
struct Strided {
    owner: Arc<PyUntypedBuffer>,
    start: NonNull<u8>,
    rows: usize,
    /// Bytes from a row to the next one.
    stride: isize,
}

// SAFETY: values are read alone, at addresses that the buffer keeps valid until it is released.
unsafe impl Send for Strided {}
// SAFETY: the same.
unsafe impl Sync for Strided {}

impl Strided {
    /// The value of a row.
    fn value<T: ArrowNativeType>(&self, row: usize) -> T {
        // SAFETY: row < rows, and the buffer has a value of this type a stride apart for each of them.
        unsafe { self.start.as_ptr().offset(self.stride * row as isize).cast::<T>().read_unaligned() }
    }

    /// The values by their address, if they lie next to each other where numbers of this type may.
    fn shared<T: ArrowNativeType>(&self) -> Option<ScalarBuffer<T>> {
        let is_dense = self.stride == size_of::<T>() as isize || self.rows <= 1;
        if !is_dense || !self.start.cast::<T>().is_aligned() {
            return None;
        }
        let bytes = self.rows * size_of::<T>();
        // SAFETY: so many bytes from here on belong to the buffer, which lives as long as the array does.
        let buffer = unsafe { Buffer::from_custom_allocation(self.start, bytes, Arc::new(self.owner.clone())) };
        Some(ScalarBuffer::new(buffer, 0, self.rows))
    }
}

/// The columns of an array with one dimension or two, `[rows]` or `[rows x columns]`; `None` of a type that Arrow does not have,
/// in an order of bytes that is not the machine's, or of numbers of 16 bits. `threads` copy what has to be copied.
///
/// # Errors
/// `BufferError` if it is no array, and `TypeError` if it has more dimensions.
pub(crate) fn columns(object: &Bound<'_, PyAny>, threads: Option<usize>) -> PyResult<Option<Vec<ArrayRef>>> {
    let buffer = PyUntypedBuffer::get(object)?;
    let (shape, strides) = (buffer.shape().to_vec(), buffer.strides().to_vec());
    let (rows, count, across) = match (shape.as_slice(), strides.as_slice()) {
        ([rows], _) => (*rows, 1, 0),
        ([rows, columns], [_, across]) => (*rows, *columns, *across),
        _ => return Err(PyTypeError::new_err(format!("an array of {} dimensions is no table", shape.len()))),
    };
    let element = ElementType::from_format(buffer.format());
    let size = buffer.item_size();
    if !is_native(buffer.format().to_bytes()) || buffer.suboffsets().is_some() {
        return Ok(None);
    }
    let stride = strides[0];
    let Some(start) = NonNull::new(buffer.buf_ptr().cast::<u8>()) else { return Ok(None) };
    let owner = Arc::new(buffer);
    let of_column = |column: usize| {
        // SAFETY: the first value of each column lies in the buffer, where it has one.
        let start = if rows == 0 { start } else { unsafe { start.offset(across * column as isize) } };
        Strided { owner: Arc::clone(&owner), start, rows, stride }
    };
    let columns: Vec<Strided> = (0..count).map(of_column).collect();
    let taken = move || match (element, size) {
        (ElementType::Float { .. }, 8) => Some(numbers::<Float64Type>(&columns)),
        (ElementType::Float { .. }, 4) => Some(numbers::<Float32Type>(&columns)),
        (ElementType::SignedInteger { .. }, 1) => Some(numbers::<Int8Type>(&columns)),
        (ElementType::SignedInteger { .. }, 2) => Some(numbers::<Int16Type>(&columns)),
        (ElementType::SignedInteger { .. }, 4) => Some(numbers::<Int32Type>(&columns)),
        (ElementType::SignedInteger { .. }, 8) => Some(numbers::<Int64Type>(&columns)),
        (ElementType::UnsignedInteger { .. }, 1) => Some(numbers::<UInt8Type>(&columns)),
        (ElementType::UnsignedInteger { .. }, 2) => Some(numbers::<UInt16Type>(&columns)),
        (ElementType::UnsignedInteger { .. }, 4) => Some(numbers::<UInt32Type>(&columns)),
        (ElementType::UnsignedInteger { .. }, 8) => Some(numbers::<UInt64Type>(&columns)),
        (ElementType::Bool, 1) => Some(columns.into_iter().map(booleans).collect()),
        _ => None,
    };
    object.py().detach(|| in_pool(threads, taken))
}

/// Whether a format of the buffer protocol says the machine's order of bytes.
fn is_native(format: &[u8]) -> bool {
    let other: &[u8] = if cfg!(target_endian = "little") { b">!" } else { b"<" };
    format.first().is_none_or(|first| !other.contains(first))
}

/// Bytes that come along with a value when it is read.
const LINE: usize = 64;

/// Columns of numbers: as they lie where they can be, else gathered, those of a line of memory together.
fn numbers<T: ArrowPrimitiveType>(columns: &[Strided]) -> Vec<ArrayRef> {
    let together = (LINE / size_of::<T::Native>()).max(1);
    let gather = |columns: &[Strided]| -> Vec<ArrayRef> {
        if let Some(shared) = columns.iter().map(Strided::shared::<T::Native>).collect::<Option<Vec<_>>>() {
            let array = |values| Arc::new(PrimitiveArray::<T>::new(values, None)) as ArrayRef;
            return shared.into_iter().map(array).collect();
        }
        let rows = columns.first().map_or(0, |column| column.rows);
        let mut gathered: Vec<Vec<T::Native>> = columns.iter().map(|_| Vec::with_capacity(rows)).collect();
        for row in 0..rows {
            for (column, values) in columns.iter().zip(&mut gathered) {
                values.push(column.value(row));
            }
        }
        gathered.into_iter().map(|values| Arc::new(PrimitiveArray::<T>::new(values.into(), None)) as ArrayRef).collect()
    };
    columns.par_chunks(together).flat_map_iter(gather).collect()
}

/// A column of booleans, a byte each.
#[expect(clippy::needless_pass_by_value, reason = "the last use of the column")]
fn booleans(column: Strided) -> ArrayRef {
    Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(column.rows, |row| column.value::<u8>(row) != 0), None))
}
