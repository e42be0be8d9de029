//! The call into Python: one vectorcall with the inputs of a frame.
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use smallvec::SmallVec;

use crate::frame::Frame;
use crate::gate;
use crate::gather;
use crate::node_spec::{CallKind, NodeSpec};

/// Calls the function of a node with the inputs of `frame`.
#[inline(always)]
pub(crate) fn call<'py>(
    py: Python<'py>,
    spec: &NodeSpec,
    frame: &Frame,
    context: &Py<PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    match spec.kind {
        CallKind::Method => {
            let places = [std::ptr::null_mut(), frame.operation(), context.as_ptr()];
            // SAFETY: both arguments belong to the run, which outlives the call.
            unsafe { vectorcall(py, spec, &places) }
        }
        // SAFETY: the inputs belong to the frame or to the slots, constants and defaults of the live attempt.
        CallKind::Function if spec.takes_ports_in_order && frame.has_all_inputs() => unsafe {
            vectorcall(py, spec, frame.places())
        },
        CallKind::Function => rearranged(py, spec, frame, context),
    }
}

/// With the arguments of the function in their own order, the context among them.
#[inline(never)]
fn rearranged<'py>(
    py: Python<'py>,
    spec: &NodeSpec,
    frame: &Frame,
    context: &Py<PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut places: SmallVec<[*mut ffi::PyObject; 9]> = SmallVec::new();
    places.push(std::ptr::null_mut());
    for &argument in &spec.arguments {
        places.push(match usize::try_from(argument) {
            Err(_) => context.as_ptr(),
            Ok(port) => {
                let value = frame.input(port);
                if value.is_null() {
                    return Err(gather::missing(py, frame, port));
                }
                value
            }
        });
    }
    // SAFETY: the inputs belong to the frame or to the slots, constants and defaults of the live attempt.
    unsafe { vectorcall(py, spec, &places) }
}

/// # Safety
/// Every place but the first is a live object for the time of the call. The first is the callee's to overwrite.
#[inline]
unsafe fn vectorcall<'py>(
    py: Python<'py>,
    spec: &NodeSpec,
    places: &[*mut ffi::PyObject],
) -> PyResult<Bound<'py, PyAny>> {
    let positional = (places.len() - 1 - spec.keyword_count) | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
    let names = spec.keyword_names.as_ref().map_or(std::ptr::null_mut(), |names| names.as_ptr());
    // SAFETY: the caller's promise; the names are a tuple of strings, one for each of the last places.
    unsafe { gate::vectorcall(py, spec.function.as_ptr(), places.as_ptr().add(1), positional, names) }
}
