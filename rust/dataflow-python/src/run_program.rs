//! What a run knows of the nodes of its plan: the program that all runs share, and the values that it alone was given.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use dataflow_core::ids::{NodeId, SlotId};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::map_content::Element;
use crate::plan::Program;

/// The index, among the constants of a graph, of the first value that is given when a run starts.
pub(crate) const FIRST_GIVEN: u32 = 1 << 30;

/// What is needed at the end of an expansion.
pub(crate) struct Ending {
    /// For each output, in the order of ports, which slot of the expansion has its value, if any.
    pub(crate) outputs: Box<[Option<SlotId>]>,
    /// What was pulled for the item that was expanded: another attempt would need it.
    pub(crate) pulled: Option<Element>,
}

/// A program with the values of its parameters, and its place in the run. Python knows the nodes of a run by one number each:
/// those of the run's own plan are their indices, and what is expanded has numbers beyond, which the hooks hand out.
pub(crate) struct RunProgram {
    shared: Arc<Program>,
    given: Box<[Py<PyAny>]>,
    /// The number of the first node.
    base: u32,
    /// Of an expansion, until it ends.
    ending: Mutex<Option<Ending>>,
}

impl RunProgram {
    pub(crate) fn new(shared: Arc<Program>, given: Vec<Py<PyAny>>) -> PyResult<Self> {
        let expected = shared.given_count();
        // A parameter that nothing reads is given too.
        if given.len() < expected {
            return Err(PyValueError::new_err(format!("the plan takes {expected} values, not {}", given.len())));
        }
        Ok(Self { shared, given: given.into(), base: 0, ending: Mutex::new(None) })
    }

    /// That of an expansion, whose first node has a number.
    pub(crate) fn expanded(self, base: u32, ending: Ending) -> Self {
        Self { base, ending: Mutex::new(Some(ending)), ..self }
    }

    /// The number of the first node.
    pub(crate) fn base(&self) -> u32 {
        self.base
    }

    /// The number of a node within the run.
    #[inline]
    pub(crate) fn number(&self, node: NodeId) -> u32 {
        self.base + node.0
    }

    pub(crate) fn take_ending(&self) -> Option<Ending> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).take()
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
