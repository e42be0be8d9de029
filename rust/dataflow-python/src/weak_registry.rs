//! A set of objects that does not keep them alive.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyList, PyWeakrefMethods, PyWeakrefReference};

/// Below this many references nobody looks for those whose objects are gone.
const FEW: usize = 64;

/// Objects in the order in which they were added, as long as somebody else keeps them.
///
/// Native, and without callbacks: the callback of a `weakref.WeakSet` is Python code, in which a Ctrl-C may arrive;
/// nobody can catch it there, so it would be lost.
#[pyclass(frozen, module = "execution_dataflow._core")]
pub(crate) struct WeakRegistry {
    references: Mutex<References>,
}

struct References {
    /// In the order in which they came. What is dropped under the lock is a weak reference without a callback, whose end
    /// runs no Python code.
    all: Vec<Py<PyWeakrefReference>>,
    /// At this length the references to what is gone are dropped: twice what was alive at the last look, so that a look
    /// costs each reference a constant time.
    crowded: usize,
}

#[pymethods]
impl WeakRegistry {
    #[new]
    fn new() -> Self {
        Self { references: Mutex::new(References { all: Vec::new(), crowded: FEW }) }
    }

    /// Adds an object that is not there yet.
    fn add(&self, thing: &Bound<'_, PyAny>) -> PyResult<()> {
        let reference = PyWeakrefReference::new(thing)?;
        let mut references = self.references.lock().unwrap_or_else(PoisonError::into_inner);
        references.all.push(reference.unbind());
        if references.all.len() < references.crowded {
            return Ok(());
        }
        // Kept until the lock is free: one of them may have nobody else any more, and its end runs Python code.
        let mut alive = Vec::new();
        references.all.retain(|reference| {
            let thing = reference.bind(thing.py()).upgrade();
            let is_alive = thing.is_some();
            alive.extend(thing);
            is_alive
        });
        references.crowded = FEW.max(2 * references.all.len());
        drop(references);
        drop(alive);
        Ok(())
    }

    /// The objects that are alive.
    fn alive<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let references: Vec<_> = {
            let references = self.references.lock().unwrap_or_else(PoisonError::into_inner);
            references.all.iter().map(|reference| reference.clone_ref(py)).collect()
        };
        PyList::new(py, references.iter().filter_map(|reference| reference.bind(py).upgrade()).collect::<Vec<_>>())
    }
}
