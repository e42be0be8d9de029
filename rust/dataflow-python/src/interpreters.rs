//! One interpreter a process: the pool, its threads and the classes belong to the main one.
#![allow(unsafe_code)]

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

const MAIN: i64 = 0;

/// Raises `ImportError` in a sub-interpreter. (From 3.12 on CPython itself refuses one with a lock of its own;
/// `execution_dataflow/__init__.py` then gives the same reason.)
pub(crate) fn refuse_other_than_main() -> PyResult<()> {
    // SAFETY: attached, and the interpreter is the one that runs.
    let interpreter = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if interpreter == MAIN {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "execution_dataflow cannot be used in a sub-interpreter: its worker threads serve the main interpreter. \
         Import it in the main interpreter, or in a process of its own (with mod_wsgi: WSGIApplicationGroup %{GLOBAL})",
    ))
}
