//! What a node that runs an operation once for each item knows besides its ports.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::node_spec::NodeSpec;

/// The item's operation, and how its results are gathered. The ports of the node are those of the operation, by index.
#[pyclass(frozen, module = "execution_dataflow._core")]
pub(crate) struct MapSpec {
    pub(crate) item: Py<NodeSpec>,
    pub(crate) operation: Py<PyAny>,
    /// Which inputs give one element to each item.
    pub(crate) over: Box<[usize]>,
    pub(crate) limit: usize,
    pub(crate) stacks: bool,
    pub(crate) keeps_failures: bool,
}

#[pymethods]
impl MapSpec {
    #[new]
    #[pyo3(signature = (*, item, operation, over, max_concurrency=None, stack=false, keep_failures=false))]
    fn new(
        item: Py<NodeSpec>,
        operation: Py<PyAny>,
        over: Vec<usize>,
        max_concurrency: Option<usize>,
        stack: bool,
        keep_failures: bool,
    ) -> PyResult<Self> {
        let limit = max_concurrency.unwrap_or(usize::MAX);
        let inputs = item.get().input_checks.len();
        if limit == 0 || over.is_empty() || over.iter().any(|&port| port >= inputs) {
            return Err(PyValueError::new_err(
                "a map goes over at least one of its inputs, one item at a time or more",
            ));
        }
        Ok(Self { item, operation, over: over.into(), limit, stacks: stack, keeps_failures: keep_failures })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.item)?;
        visit.call(&self.operation)
    }
}
