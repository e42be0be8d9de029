//! How operations come into being: natively, since a million of them are made in a row.
#![allow(unsafe_code)]

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::kept::{Kept, intern};
use crate::operation_base::OperationBase;

/// What operations without keywords share: a dict of its own for each would double their size. It is only read.
static NO_KEYWORDS: Kept<Py<PyDict>> = Kept::new();

/// A new object of a class without native fields, as `object.__new__(class)` makes it. It has the compact layout, which
/// plain allocation does not prepare on every version.
#[inline]
pub(crate) fn new_object<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    // SAFETY: attached; the result is a new reference, or null with an error set.
    unsafe {
        let object = &raw const ffi::PyBaseObject_Type;
        let new = (*object).tp_new.ok_or_else(|| PyTypeError::new_err("object has no __new__"))?;
        let made = new(class.as_type_ptr(), PyTuple::empty(py).as_ptr(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(py, made)
    }
}

/// `__new__` of all operations: keeps the arguments, for the repr, for pickles and for files.
unsafe extern "C" fn new_operation(
    class: *mut ffi::PyTypeObject,
    arguments: *mut ffi::PyObject,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls a `tp_new` attached, with a class, a tuple, and a dict or null.
    unsafe {
        let py = Python::assume_attached();
        let class = Bound::from_borrowed_ptr(py, class.cast()).cast_into_unchecked::<PyType>();
        let arguments = Bound::from_borrowed_ptr(py, arguments).cast_into_unchecked::<PyTuple>();
        let keywords =
            Bound::from_borrowed_ptr_or_opt(py, keywords).map(|keywords| keywords.cast_into_unchecked::<PyDict>());
        match make(&class, arguments, keywords) {
            Ok(made) => made.into_ptr(),
            Err(error) => {
                error.restore(py);
                std::ptr::null_mut()
            }
        }
    }
}

#[inline]
fn make<'py>(
    class: &Bound<'py, PyType>,
    arguments: Bound<'py, PyTuple>,
    keywords: Option<Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let made = new_object(class)?;
    let keywords = keywords.filter(|keywords| !keywords.is_empty());
    if arguments.is_empty() && keywords.is_none() {
        return Ok(made);
    }
    let keywords = match keywords {
        // The dict of the call is the callee's to change.
        Some(keywords) => keywords.copy()?,
        None => NO_KEYWORDS.get().unwrap_or_else(|| NO_KEYWORDS.keep(PyDict::new(py).unbind())).bind(py).clone(),
    };
    made.setattr(intern!(py, "_arguments"), (arguments, keywords))?;
    Ok(made)
}

/// Makes [`new_operation`] the constructor of the native base, which has no field to set.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<OperationBase>();
    // SAFETY: attached, while the module is made: the class has no subclass yet that could have inherited the slot.
    unsafe {
        let slots = class.as_type_ptr();
        if (*slots).tp_basicsize != std::mem::size_of::<ffi::PyObject>() as ffi::Py_ssize_t {
            return Err(PyTypeError::new_err("the native base of operations has fields"));
        }
        (*slots).tp_new = Some(new_operation);
        ffi::PyType_Modified(slots);
    }
    Ok(())
}
