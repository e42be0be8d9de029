//! `InputPort(int)` and `OutputPort(int)`: operations that declare their ports in `__init__` make them for every
//! instance, so that those of a built-in type and without options are made once and then handed out again.
#![allow(unsafe_code)]

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::kept::Kept;

static INPUTS: Kept<Py<PyDict>> = Kept::new();
static OUTPUTS: Kept<Py<PyDict>> = Kept::new();

unsafe extern "C" fn call_input(
    class: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls a type's vectorcall attached, with what the vectorcall protocol promises.
    unsafe { call(&INPUTS, class, arguments, count, names) }
}

unsafe extern "C" fn call_output(
    class: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as above.
    unsafe { call(&OUTPUTS, class, arguments, count, names) }
}

/// # Safety
/// Attached; `arguments` are those of a vectorcall of `class`: as many references as `count` says and `names` has.
unsafe fn call(
    known: &Kept<Py<PyDict>>,
    class: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as the caller promises.
    let (py, positional, names) = unsafe {
        let py = Python::assume_attached();
        let names = Bound::from_borrowed_ptr_or_opt(py, names).map(|names| names.cast_into_unchecked::<PyTuple>());
        (py, ffi::PyVectorcall_NARGS(count) as usize, names)
    };
    let named = names.as_ref().map_or(0, PyTupleMethods::len);
    let is_plain = match (positional, named, &names) {
        (1, 0, _) => true,
        (0, 1, Some(names)) => names
            .get_borrowed_item(0)
            .is_ok_and(|name| name.is(crate::kept::intern!(py, "data_type")) || name.eq("data_type").unwrap_or(false)),
        _ => false,
    };
    let given: &[_] = match positional + named {
        0 => &[],
        // SAFETY: `arguments` has as many references.
        total => unsafe { std::slice::from_raw_parts(arguments, total) },
    };
    let made = (|| {
        let kept = known.get().filter(|_| is_plain && is_builtin(given[0]));
        if let Some(kept) = kept {
            // SAFETY: attached, and a reference that the caller keeps.
            let data_type = unsafe { Bound::from_borrowed_ptr(py, given[0]) };
            if let Some(port) = kept.bind(py).get_item(&data_type)? {
                return Ok(port);
            }
            let port = construct(py, class, given, positional, names)?;
            kept.bind(py).set_item(data_type, &port)?;
            return Ok(port);
        }
        construct(py, class, given, positional, names)
    })();
    made.map_or_else(
        |error: PyErr| {
            error.restore(py);
            std::ptr::null_mut()
        },
        Bound::into_ptr,
    )
}

/// Whether an object is a class that lives as long as the process, so that keeping it keeps nothing alive.
#[inline]
fn is_builtin(data_type: *mut ffi::PyObject) -> bool {
    // SAFETY: attached, and a valid reference; its flags are read only when it is exactly a class.
    unsafe {
        ffi::Py_TYPE(data_type) == &raw mut ffi::PyType_Type
            && ffi::PyType_GetFlags(data_type.cast()) & ffi::Py_TPFLAGS_HEAPTYPE == 0
    }
}

/// What calling the class does without a vectorcall: `__new__`, then `__init__`.
#[cold]
fn construct<'py>(
    py: Python<'py>,
    class: *mut ffi::PyObject,
    given: &[*mut ffi::PyObject],
    positional: usize,
    names: Option<Bound<'py, PyTuple>>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached, and references that the caller keeps.
    let items: Vec<_> = given.iter().map(|&item| unsafe { Bound::from_borrowed_ptr(py, item) }).collect();
    let keywords = PyDict::new(py);
    for (name, item) in names.iter().flatten().zip(&items[positional..]) {
        keywords.set_item(name, item)?;
    }
    let arguments = PyTuple::new(py, &items[..positional])?;
    // SAFETY: attached; `type.__call__` is called with a class, a tuple and a dict.
    unsafe {
        let metaclass = &raw const ffi::PyType_Type;
        let call = (*metaclass).tp_call.ok_or_else(|| PyTypeError::new_err("type has no __call__"))?;
        Bound::from_owned_ptr_or_err(py, call(class, arguments.as_ptr(), keywords.as_ptr()))
    }
}

/// Makes the calls of both classes of ports, of which objects never change once they are made.
#[pyfunction]
pub(crate) fn intern_ports(input_port: &Bound<'_, PyType>, output_port: &Bound<'_, PyType>) -> PyResult<()> {
    let py = input_port.py();
    for (class, known, call) in
        [(input_port, &INPUTS, call_input as ffi::vectorcallfunc), (output_port, &OUTPUTS, call_output)]
    {
        if known.get().is_some() {
            return Err(PyTypeError::new_err("the classes of ports are known already"));
        }
        known.keep(PyDict::new(py).unbind());
        // SAFETY: attached; the class is a heap type that was just made. Subclasses do not inherit the slot.
        unsafe { (*class.as_type_ptr()).tp_vectorcall = Some(call) };
    }
    Ok(())
}
