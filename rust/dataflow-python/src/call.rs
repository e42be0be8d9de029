//! The call into Python: one vectorcall, in a copy of the caller's context variables (rule R12).
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use smallvec::SmallVec;

use crate::frame::Frame;
use crate::gate;
use crate::node_spec::{CallKind, NodeSpec};
use crate::python_errors;

/// Calls `f` inside a fresh copy of `base`.
pub(crate) fn isolated<'py, R>(py: Python<'py>, base: &Py<PyAny>, f: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    let context = copy(py, base)?;
    // SAFETY: attached, and `context` is a context that nobody has entered.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    let result = f();
    // SAFETY: attached, and the context that was entered above; `result` holds any pending error as a value.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    result
}

/// A copy of a `contextvars.Context`.
pub(crate) fn copy<'py>(py: Python<'py>, context: &Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; the result is a new reference or null with an error set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_Copy(context.as_ptr())) }
}

/// Calls the function of a node with the inputs of `frame`.
pub(crate) fn call<'py>(
    py: Python<'py>,
    spec: &NodeSpec,
    frame: &Frame,
    operation: &Bound<'py, PyAny>,
    context: &Py<PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // The first place is the callee's to overwrite: PY_VECTORCALL_ARGUMENTS_OFFSET.
    let mut arguments: SmallVec<[*mut ffi::PyObject; 8]> = SmallVec::new();
    arguments.push(std::ptr::null_mut());
    match spec.kind {
        CallKind::Method => arguments.extend([operation.as_ptr(), context.as_ptr()]),
        CallKind::Function => {
            for &argument in &spec.arguments {
                arguments.push(match usize::try_from(argument) {
                    Err(_) => context.as_ptr(),
                    Ok(port) => {
                        let given = frame.inputs[port].as_ref().or(spec.input_defaults[port].as_ref());
                        given.ok_or_else(|| no_value(py, spec, port))?.as_ptr()
                    }
                });
            }
        }
    }
    let keywords = spec.keyword_names.as_ref();
    let keyword_count = keywords.map_or(0, |names| names.bind(py).len());
    let positional = (arguments.len() - 1 - keyword_count) | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
    let names = keywords.map_or(std::ptr::null_mut(), |names| names.as_ptr());
    // SAFETY: attached; every argument is a reference that `frame`, `spec` or the run owns for the time of the call, and
    // the names are a tuple of strings.
    unsafe { gate::vectorcall(py, spec.function.as_ptr(), arguments.as_ptr().add(1), positional, names) }
}

fn no_value(py: Python<'_>, spec: &NodeSpec, port: usize) -> PyErr {
    let name = spec.input_name(py, port);
    python_errors::contract(py, format!("input {name:?} of {} has no value and no default", spec.label))
}
