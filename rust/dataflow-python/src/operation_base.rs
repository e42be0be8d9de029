//! The native base of `Operation`: `get_input` and `set_output`, which operations call most.
//!
//! What happens a million times - the operation on top of the thread's stack of frames, a port named by a literal, a value
//! of just the declared class - is done by raw C functions, which hand everything else on to the methods that pyo3 makes.
#![allow(unsafe_code)]

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};
use smallvec::SmallVec;

use crate::frame::{Frame, inherited, on_stack, top_of};
use crate::gather;
use crate::node_spec::NodeSpec;
use crate::python_errors;

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

/// A raw method with the one of pyo3 that it falls back on.
struct Method {
    name: &'static CStr,
    raw: ffi::PyMethodDef,
    careful: PyOnceLock<Py<PyAny>>,
}

// SAFETY: the definition points to constants only.
unsafe impl Sync for Method {}

impl Method {
    const fn new(name: &'static CStr, doc: &'static CStr, function: ffi::PyCFunctionFastWithKeywords) -> Self {
        let raw = ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: doc.as_ptr(),
        };
        Self { name, raw, careful: PyOnceLock::new() }
    }

    /// Puts the raw method in the place of the careful one.
    fn replace(&self, class: &Bound<'_, pyo3::types::PyType>) -> PyResult<()> {
        let py = class.py();
        let name = self.name.to_string_lossy();
        let _ = self.careful.set(py, class.getattr(&*name)?.unbind());
        // SAFETY: attached; CPython only reads the definition, which lives for ever; the result is a new reference or
        // null with an error set.
        let descriptor = unsafe {
            let made = ffi::PyDescr_NewMethod(class.as_type_ptr(), std::ptr::from_ref(&self.raw).cast_mut());
            Bound::from_owned_ptr_or_err(py, made)?
        };
        class.setattr(&*name, descriptor)
    }

    /// # Safety
    /// As CPython calls a method of this kind.
    #[cold]
    unsafe fn call_carefully(
        &self,
        operation: *mut ffi::PyObject,
        arguments: *const *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
        names: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject {
        // SAFETY: attached, as the caller promises; the names are a tuple if there are any.
        let (py, keywords) = unsafe {
            let keywords = if names.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(names) };
            (Python::assume_attached(), keywords as usize)
        };
        let positional = count as usize;
        let mut places: SmallVec<[*mut ffi::PyObject; 4]> = SmallVec::new();
        places.push(operation);
        // SAFETY: that many arguments were given.
        places.extend((0..positional + keywords).map(|index| unsafe { *arguments.add(index) }));
        let Some(careful) = self.careful.get(py) else {
            pyo3::exceptions::PySystemError::new_err("the module was not initialised").restore(py);
            return std::ptr::null_mut();
        };
        // SAFETY: the arguments as they were given, behind the object.
        unsafe { ffi::PyObject_Vectorcall(careful.as_ptr(), places.as_ptr(), positional + 1, names) }
    }
}

static GET_INPUT: Method = Method::new(c"get_input", c"get_input($self, port_name)\n--\n\n", get_input);
static SET_OUTPUT: Method = Method::new(c"set_output", c"set_output($self, port_name, value)\n--\n\n", set_output);

/// Makes the class quick.
pub(crate) fn add_raw_methods(py: Python<'_>) -> PyResult<()> {
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
    operation: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    if count == 1
        && names.is_null()
        && let Some(frame) = top_of(operation)
        // SAFETY: attached, with one argument.
        && let Some(port) = unsafe { index_of(&frame.spec().input_names, *arguments) }
    {
        let value = frame.input(port);
        if !value.is_null() {
            // SAFETY: a live object, of which the caller gets a reference.
            unsafe { ffi::Py_INCREF(value) };
            return value;
        }
    }
    // SAFETY: as CPython called us.
    unsafe { GET_INPUT.call_carefully(operation, arguments, count, names) }
}

unsafe extern "C" fn set_output(
    operation: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    if count == 2
        && names.is_null()
        && let Some(frame) = top_of(operation)
        // SAFETY: attached, with two arguments.
        && let Some(port) = unsafe { index_of(&frame.spec().output_names, *arguments) }
    {
        // SAFETY: attached; the second argument, which lives for the time of the call.
        let value = unsafe { Bound::from_borrowed_ptr(Python::assume_attached(), *arguments.add(1)) };
        if frame.spec().output_checks[port].holds_plainly(&value) {
            frame.store(port, value);
            // SAFETY: attached; a new reference to what lives for ever.
            return unsafe { ffi::Py_NewRef(ffi::Py_None()) };
        }
    }
    // SAFETY: as CPython called us.
    unsafe { SET_OUTPUT.call_carefully(operation, arguments, count, names) }
}
