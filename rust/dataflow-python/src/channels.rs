//! Data channels as Python sees them.
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// A `DataChannel`: a named tuple, filled without a call of its constructor.
pub(crate) fn new_channel<'py>(
    class: &Bound<'py, PyType>,
    items: [&Bound<'py, PyAny>; 4],
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; the class is a subclass of tuple without fields, which `new` has checked, and the object is a new
    // tuple of four empty places, which nobody else has seen; each is given a reference of its own.
    unsafe {
        let channel = Bound::from_owned_ptr_or_err(
            class.py(),
            ffi::PyType_GenericAlloc(class.as_type_ptr(), items.len() as ffi::Py_ssize_t),
        )?;
        for (index, item) in items.into_iter().enumerate() {
            ffi::PyTuple_SET_ITEM(channel.as_ptr(), index as ffi::Py_ssize_t, item.clone().into_ptr());
        }
        Ok(channel)
    }
}
