//! What a run knows of the nodes of its plan: the program that all runs share, and the values that it alone was given.

use std::ops::Deref;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::plan::Program;

/// The index, among the constants of a graph, of the first value that is given when a run starts.
pub(crate) const FIRST_GIVEN: u32 = 1 << 30;

/// A program with the values of its parameters.
pub(crate) struct RunProgram {
    shared: Arc<Program>,
    given: Box<[Py<PyAny>]>,
}

impl RunProgram {
    pub(crate) fn new(shared: Arc<Program>, given: Vec<Py<PyAny>>) -> PyResult<Self> {
        let expected = shared.given_count();
        // A parameter that nothing reads is given too.
        if given.len() < expected {
            return Err(PyValueError::new_err(format!("the plan takes {expected} values, not {}", given.len())));
        }
        Ok(Self { shared, given: given.into() })
    }

    /// A constant of the plan, or a value of this run.
    #[inline]
    pub(crate) fn constant(&self, index: u32) -> &Py<PyAny> {
        match index.checked_sub(FIRST_GIVEN) {
            None => self.shared.constant(index),
            Some(given) => &self.given[given as usize],
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.given.iter().try_for_each(|value| visit.call(value))
    }
}

impl Deref for RunProgram {
    type Target = Program;

    #[inline]
    fn deref(&self) -> &Program {
        &self.shared
    }
}
