//! Named dimensions: the lengths that the arrays of an operation have to agree on, which Python compares.
//!
//! The spec of an operation with such ports has a callable for that, and takes the ways through the other files that are
//! there for what is rare: nobody else pays for it.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::frame::{Frame, Values};
use crate::missing::Missing;
use crate::node_spec::NodeSpec;

/// Compares the inputs of an attempt, before it runs, with each other and with what lies before them.
#[inline]
pub(crate) fn check_inputs(py: Python<'_>, spec: &NodeSpec, frame: &Frame) -> PyResult<()> {
    match &spec.dimensions {
        None => Ok(()),
        Some(dimensions) => check(py, dimensions, spec, frame, None),
    }
}

/// Compares what an attempt is about to commit as an operation of this spec.
#[inline]
pub(crate) fn check_outputs(py: Python<'_>, spec: &NodeSpec, frame: &Frame, outputs: &Values) -> PyResult<()> {
    match &spec.dimensions {
        None => Ok(()),
        Some(dimensions) => check(py, dimensions, spec, frame, Some(outputs)),
    }
}

#[cold]
fn check(
    py: Python<'_>,
    dimensions: &Py<PyAny>,
    spec: &NodeSpec,
    frame: &Frame,
    outputs: Option<&Values>,
) -> PyResult<()> {
    let missing = Missing::object(py)?.as_any();
    // What stands in for a failed operation has inputs of its own.
    let is_own = std::ptr::eq(spec, frame.spec());
    let count = if is_own { spec.input_flags.len() } else { 0 };
    let inputs =
        PyTuple::new(py, (0..count).map(|port| given(py, frame.input(port)).unwrap_or_else(|| missing.clone())))?;
    let outputs = outputs.map(|values| {
        let values = values.iter().map(|value| value.as_ref().map_or(missing, |value| value.bind(py)));
        PyTuple::new(py, values)
    });
    let (record, node, items) = frame.place(py)?;
    dimensions.bind(py).call1((record, node, frame.attempt, items, inputs, outputs.transpose()?)).map(drop)
}

#[allow(unsafe_code)]
fn given(py: Python<'_>, value: *mut ffi::PyObject) -> Option<Bound<'_, PyAny>> {
    // SAFETY: an input of a live attempt, or null.
    unsafe { Bound::from_borrowed_ptr_or_opt(py, value) }
}
