//! The native base of `Operation`: `get_input` and `set_output`, which operations call most.
//!
//! What happens a million times - the operation on top of the thread's stack of frames, a port named by a literal, a value
//! of just the declared class - is done by raw C functions, which hand everything else on to the methods that pyo3 makes
//! (`quick_method.rs`).
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::frame::{Frame, inherited, on_stack, top_of};
use crate::gather;
use crate::node_spec::NodeSpec;
use crate::python_errors;
use crate::quick_method::QuickMethod;

/// The base class. It has no fields, so that instances keep CPython's compact layout.
#[pyclass(frozen, subclass, module = "execution_dataflow._core")]
pub(crate) struct OperationBase;

#[pymethods]
impl OperationBase {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self
    }

    fn get_input<'py>(slf: &Bound<'py, Self>, port_name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        with_frame(slf.as_any(), "get_input", port_name, |frame| {
            let spec = frame.spec();
            let names = spec.input_names.bind(py);
            let port = NodeSpec::position(names, port_name).ok_or_else(|| {
                python_errors::unknown_port(py, &spec.label, &port_name.to_string_lossy(), names, "input")
            })?;
            // SAFETY: an input of a live attempt, or null.
            unsafe { Bound::from_borrowed_ptr_or_opt(py, frame.input(port)) }
                .ok_or_else(|| gather::missing(py, frame, port))
        })
    }

    fn get_output<'py>(slf: &Bound<'py, Self>, port_name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        with_frame(slf.as_any(), "get_output", port_name, |frame| {
            let spec = frame.spec();
            let names = spec.output_names.bind(py);
            let port = NodeSpec::position(names, port_name).ok_or_else(|| {
                python_errors::unknown_port(py, &spec.label, &port_name.to_string_lossy(), names, "output")
            })?;
            frame.output(py, port).ok_or_else(|| {
                let text = format!("output {port_name:?} of {} was not set", spec.label);
                python_errors::contract(py, text)
            })
        })
    }

    fn set_output(slf: &Bound<'_, Self>, port_name: &Bound<'_, PyString>, value: Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        with_frame(slf.as_any(), "set_output", port_name, |frame| {
            let spec = frame.spec();
            let names = spec.output_names.bind(py);
            let port = NodeSpec::position(names, port_name).ok_or_else(|| {
                python_errors::unknown_port(py, &spec.label, &port_name.to_string_lossy(), names, "output")
            })?;
            spec.check_output(port, &value)?;
            frame.store(port, value);
            Ok(())
        })
    }
}

/// Calls `f` with the frame in which `operation` runs.
fn with_frame<'py, R>(
    operation: &Bound<'py, PyAny>,
    call: &str,
    port: &Bound<'py, PyString>,
    f: impl FnOnce(&Frame) -> PyResult<R>,
) -> PyResult<R> {
    let py = operation.py();
    let wanted = |frame: &Frame| frame.operation() == operation.as_ptr();
    if let Some(frame) = on_stack(wanted) {
        return f(frame);
    }
    if let Some(attempt) = inherited(py)?
        && let Some(frame) = attempt.get().frame().filter(|frame| wanted(frame))
    {
        return f(frame);
    }
    let class = operation.get_type().name().map_or_else(|_| "operation".to_owned(), |name| name.to_string());
    Err(python_errors::outside_run(
        py,
        format!(
            "{call}({:?}) of {class} was called outside of a run of that operation. Ports have values only inside \
             execute(), on the thread or in the coroutine that the engine runs it in; in a thread that execute() \
             starts itself, read the inputs before and set the outputs after.",
            port.to_string_lossy()
        ),
    ))
}

static GET_INPUT: QuickMethod = QuickMethod::new("get_input", get_input);
static SET_OUTPUT: QuickMethod = QuickMethod::new("set_output", set_output);

/// Makes the class quick.
pub(crate) fn add_quick_methods(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<OperationBase>();
    GET_INPUT.replace(&class)?;
    SET_OUTPUT.replace(&class)
}

/// The index of a port by the pointer of its interned name.
///
/// # Safety
/// Attached.
#[inline]
unsafe fn index_of(names: &Py<PyTuple>, name: *mut ffi::PyObject) -> Option<usize> {
    let names = names.as_ptr();
    // SAFETY: a tuple, and the indices are below its length.
    let is_it = |&index: &ffi::Py_ssize_t| unsafe { ffi::PyTuple_GET_ITEM(names, index) } == name;
    // SAFETY: a tuple.
    (0..unsafe { ffi::PyTuple_GET_SIZE(names) }).find(is_it).map(|index| index as usize)
}

unsafe extern "C" fn get_input(
    _method: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as CPython makes a vectorcall: attached, with that many arguments, the operation among them.
    unsafe {
        if ffi::PyVectorcall_NARGS(count) == 2
            && names.is_null()
            && let Some(frame) = top_of(*arguments)
            && let Some(port) = index_of(&frame.spec().input_names, *arguments.add(1))
        {
            let value = frame.input(port);
            if !value.is_null() {
                return ffi::Py_NewRef(value);
            }
        }
        GET_INPUT.call_carefully(arguments, count, names)
    }
}

unsafe extern "C" fn set_output(
    _method: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as above; the value lives for the time of the call.
    unsafe {
        if ffi::PyVectorcall_NARGS(count) == 3
            && names.is_null()
            && let Some(frame) = top_of(*arguments)
            && let Some(port) = index_of(&frame.spec().output_names, *arguments.add(1))
        {
            let value = Bound::from_borrowed_ptr(Python::assume_attached(), *arguments.add(2));
            if frame.spec().output_checks[port].holds_plainly(&value) {
                frame.store(port, value);
                return ffi::Py_NewRef(ffi::Py_None());
            }
        }
        SET_OUTPUT.call_carefully(arguments, count, names)
    }
}
