//! Records of scalars, in one call: they are what most operations put out, and a checkpoint writes one for each.
//!
//! The format is that of `storage_formats`, which writes all others; a property test holds the two to the same bytes.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString, PyTuple};
use sha2::{Digest, Sha256};

const CHECKSUM: usize = 16;
/// Strings that are longer may not belong into a record at all.
const LONGEST: usize = 1024;

/// The record of outputs that are scalars, without a signature; `None` if it is for others to write.
///
/// `magic` begins it, and `bound_to` is what it belongs to.
#[pyfunction]
pub(crate) fn scalar_record<'py>(
    values: &Bound<'py, PyTuple>,
    missing: &Bound<'py, PyAny>,
    magic: &[u8],
    bound_to: &[u8],
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let mut directory = String::with_capacity(64);
    for (place, value) in values.iter_borrowed().enumerate() {
        directory.push(if place == 0 { '[' } else { ',' });
        if value.is(missing) {
            directory.push_str("null");
            continue;
        }
        directory.push('[');
        if !push_scalar(&mut directory, &value)? {
            return Ok(None);
        }
        directory.push(']');
    }
    directory.push_str(if values.is_empty() { "[]" } else { "]" });
    let Ok(length) = u32::try_from(directory.len()) else { return Ok(None) };
    let mut record = Vec::with_capacity(magic.len() + 4 + directory.len() + CHECKSUM);
    record.extend_from_slice(magic);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(directory.as_bytes());
    let bound = (bound_to.len() as u64).to_le_bytes();
    let digest = Sha256::new().chain_update(bound).chain_update(bound_to).chain_update(&record).finalize();
    record.extend_from_slice(&digest[..CHECKSUM]);
    Ok(Some(PyBytes::new(values.py(), &record)))
}

/// Adds a value as JSON, as `float.__repr__` and its like write it; `false` if it is none of those, or needs more care.
fn push_scalar(text: &mut String, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    if value.is_none() {
        text.push_str("null");
    } else if value.is_exact_instance_of::<PyInt>() {
        let Ok(number) = value.extract::<i64>() else { return Ok(false) };
        text.push_str(&number.to_string());
    } else if let Ok(truth) = value.cast_exact::<PyBool>() {
        text.push_str(if truth.is_true() { "true" } else { "false" });
    } else if let Ok(number) = value.cast_exact::<PyFloat>() {
        let number = number.value();
        if !number.is_finite() {
            return Ok(false);
        }
        text.push_str(value.repr()?.to_str()?);
    } else if let Ok(string) = value.cast_exact::<PyString>() {
        // Half of a surrogate pair has no UTF-8.
        let Ok(string) = string.to_str() else { return Ok(false) };
        if string.len() > LONGEST || string.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            return Ok(false);
        }
        text.push('"');
        text.push_str(string);
        text.push('"');
    } else {
        return Ok(false);
    }
    Ok(true)
}
