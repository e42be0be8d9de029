//! Checks of values against what a port declares: by class natively, by a Python callable for everything else.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

/// What a value must be.
pub(crate) enum Check {
    Anything,
    Class(Py<PyType>),
    AnyOf(Box<[Py<PyType>]>),
    /// `check(value)` gives `None`, or what is wrong as a string.
    Callable(Py<PyAny>),
}

impl Check {
    pub(crate) fn from_python(check: &Bound<'_, PyAny>) -> PyResult<Self> {
        if check.is_none() {
            Ok(Self::Anything)
        } else if let Ok(class) = check.cast::<PyType>() {
            Ok(Self::Class(class.clone().unbind()))
        } else if let Ok(classes) = check.cast::<PyTuple>() {
            let classes = classes.iter().map(|class| Ok(class.cast_into::<PyType>()?.unbind()));
            Ok(Self::AnyOf(classes.collect::<PyResult<_>>()?))
        } else if check.is_callable() {
            Ok(Self::Callable(check.clone().unbind()))
        } else {
            let kind = check.get_type();
            Err(PyTypeError::new_err(format!("a check is None, a class, a tuple of classes or a callable, not {kind}")))
        }
    }

    /// Whether the value is of just the class that is asked for; `false` says nothing.
    #[inline]
    pub(crate) fn holds_plainly(&self, value: &Bound<'_, PyAny>) -> bool {
        match self {
            Self::Anything => true,
            Self::Class(class) => value.get_type_ptr().cast::<ffi::PyObject>() == class.as_ptr(),
            Self::AnyOf(_) | Self::Callable(_) => false,
        }
    }

    /// `None` when the value fits, otherwise what was expected and what was found.
    #[inline]
    pub(crate) fn fault(&self, value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
        if self.holds_plainly(value) { Ok(None) } else { self.look_closely(value) }
    }

    fn look_closely(&self, value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
        match self {
            Self::Anything => Ok(None),
            Self::Class(class) => {
                if is_instance(value, class)? {
                    Ok(None)
                } else {
                    Ok(Some(mismatch(value, std::slice::from_ref(class))?))
                }
            }
            Self::AnyOf(classes) => {
                for class in classes {
                    if is_instance(value, class)? {
                        return Ok(None);
                    }
                }
                Ok(Some(mismatch(value, classes)?))
            }
            Self::Callable(check) => {
                let fault = check.bind(value.py()).call1((value,))?;
                if fault.is_none() { Ok(None) } else { Ok(Some(fault.cast::<PyString>()?.to_string())) }
            }
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Anything => Ok(()),
            Self::Class(class) => visit.call(class),
            Self::AnyOf(classes) => classes.iter().try_for_each(|class| visit.call(class)),
            Self::Callable(check) => visit.call(check),
        }
    }
}

#[inline]
fn is_instance(value: &Bound<'_, PyAny>, class: &Py<PyType>) -> PyResult<bool> {
    let wanted = class.as_ptr();
    if value.get_type_ptr().cast::<ffi::PyObject>() == wanted {
        return Ok(true);
    }
    // Everything else, abstract base classes and `__class__` tricks included.
    value.is_instance(class.bind(value.py()))
}

fn mismatch(value: &Bound<'_, PyAny>, classes: &[Py<PyType>]) -> PyResult<String> {
    let py = value.py();
    let names = classes.iter().map(|class| class.bind(py).name().map(|name| name.to_string()));
    let expected = names.collect::<PyResult<Vec<_>>>()?.join(" or ");
    Ok(format!("expected {expected}, got {}", value.get_type().name()?))
}
