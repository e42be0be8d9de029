//! Where the items of a map come from: one element after another, by index or by iteration.
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyRange, PyTuple};

use crate::arrays;
use crate::kept::intern;
use crate::python_errors;

/// One zipped input.
pub(crate) enum Source {
    List(Py<PyList>),
    Tuple(Py<PyTuple>),
    /// Anything else that has a length and is read by index: an array gives views along its first axis.
    Sequence(Py<PyAny>, usize),
    Iterator(Py<PyAny>),
}

impl Source {
    /// The source that a value is; `hooks` knows what is rare.
    pub(crate) fn new(value: &Bound<'_, PyAny>, operation: &str, port: &str, hooks: &Py<PyAny>) -> PyResult<Self> {
        let py = value.py();
        if let Ok(list) = value.cast_exact::<PyList>() {
            return Ok(Self::List(list.clone().unbind()));
        }
        if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            return Ok(Self::Tuple(tuple.clone().unbind()));
        }
        if value.cast_exact::<PyRange>().is_ok() || arrays::is_plain_array(value) && value.len().is_ok() {
            return Ok(Self::Sequence(value.clone().unbind(), value.len()?));
        }
        let answer = hooks.bind(py).call_method1(intern!(py, "map_source"), (operation, port, value))?;
        let (source, len): (Bound<'_, PyAny>, Option<usize>) = answer.extract()?;
        Ok(match len {
            Some(len) => Self::Sequence(source.unbind(), len),
            None => Self::Iterator(source.unbind()),
        })
    }

    /// The number of elements; `None` when only its end will tell.
    pub(crate) fn len(&self, py: Python<'_>) -> Option<usize> {
        match self {
            Self::List(list) => Some(list.bind(py).len()),
            Self::Tuple(tuple) => Some(tuple.bind(py).len()),
            Self::Sequence(_, len) => Some(*len),
            Self::Iterator(_) => None,
        }
    }

    /// An element by its index.
    #[inline]
    pub(crate) fn element<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::List(list) => list.bind(py).get_item(index),
            Self::Tuple(tuple) => tuple.bind(py).get_item(index),
            Self::Sequence(sequence, _) => {
                // SAFETY: attached; the result is a new reference or null with an error set.
                unsafe {
                    let element = ffi::PySequence_GetItem(sequence.as_ptr(), index as ffi::Py_ssize_t);
                    Bound::from_owned_ptr_or_err(py, element)
                }
            }
            Self::Iterator(_) => Err(python_errors::contract(py, "an iterator has no index".to_owned())),
        }
    }

    /// The next element, of which there were `index` before; `None` at the end.
    pub(crate) fn next<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        match (self, self.len(py)) {
            (Self::Iterator(iterator), _) => {
                // SAFETY: attached, and an iterator; the result is a new reference, or null, with an error set or at the
                // end.
                let element = unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyIter_Next(iterator.as_ptr())) };
                match element {
                    Some(element) => Ok(Some(element)),
                    None => PyErr::take(py).map_or(Ok(None), Err),
                }
            }
            (_, Some(len)) if index >= len => Ok(None),
            _ => self.element(py, index).map(Some),
        }
    }
}
