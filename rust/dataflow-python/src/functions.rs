//! Operations of functions, made without a call into Python: `graph.add(function)` makes one for every node.
#![allow(unsafe_code)]

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyFunction, PyType};
use pyo3::{PyTraverseError, PyVisit};

use crate::kept::intern;
use crate::kinds::SpreadMap;
use crate::operations::new_object;

/// What is known of a function that was added before.
pub(crate) struct Known {
    /// The function, decorated or not: while it lives, nothing else has its address.
    key: Py<PyAny>,
    definition: Py<PyAny>,
    pub(crate) kind: u32,
}

/// The functions of a graph whose operations have no options of their own.
#[derive(Default)]
pub(crate) struct Functions {
    known: SpreadMap<usize, Known>,
}

impl Functions {
    /// Remembers what a function becomes. A function that is made anew for each use, as a bound method is, would only
    /// fill the table.
    pub(crate) fn learn(&mut self, key: Bound<'_, PyAny>, definition: Py<PyAny>, kind: u32) {
        if key.is(&definition) || key.is_exact_instance_of::<PyFunction>() {
            let key = key.unbind();
            self.known.insert(key.as_ptr() as usize, Known { key, definition, kind });
        }
    }

    /// What a function became before. Whatever is not in the table has another address.
    #[inline]
    pub(crate) fn find<'py>(&self, function: &Bound<'py, PyAny>) -> Option<(Bound<'py, PyAny>, u32)> {
        let known = self.known.get(&(function.as_ptr() as usize))?;
        Some((known.definition.bind(function.py()).clone(), known.kind))
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.known.values().try_for_each(|known| {
            visit.call(&known.key)?;
            visit.call(&known.definition)
        })
    }
}

/// A new `FunctionOperation`, as its `__init__` leaves it when there are no options.
#[inline]
pub(crate) fn new_operation<'py>(
    class: &Bound<'py, PyType>,
    definition: &Bound<'py, PyAny>,
    signature: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let made = new_object(class)?;
    made.setattr(intern!(py, "definition"), definition)?;
    made.setattr(intern!(py, "_ports"), signature)?;
    Ok(made)
}

/// Refuses a class of which [`new_operation`] cannot make an object.
pub(crate) fn check_class(class: &Bound<'_, PyType>) -> PyResult<()> {
    // SAFETY: attached, and a type object is read.
    let itemsize = unsafe { (*class.as_type_ptr()).tp_itemsize };
    if itemsize == 0 { Ok(()) } else { Err(PyTypeError::new_err("objects of this class have items")) }
}
