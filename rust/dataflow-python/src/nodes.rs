//! Many nodes at once, as Python hands them over.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::registry::Registry;

/// Nodes at even distances, or a list of them.
pub(crate) enum Nodes {
    Even { start: i64, step: i64, count: usize },
    List(Vec<u32>),
}

impl Nodes {
    /// From `(start, step, count)`, bytes of native 32-bit numbers, or a buffer of unsigned 32-bit numbers. Every node
    /// is below `limit`.
    pub(crate) fn from_python(given: &Bound<'_, PyAny>, limit: usize) -> PyResult<Self> {
        let nodes = if given.is_instance_of::<PyTuple>() {
            let (start, step, count) = given.extract()?;
            Self::Even { start, step, count }
        } else if let Ok(bytes) = given.cast::<PyBytes>() {
            let (numbers, rest) = bytes.as_bytes().as_chunks::<4>();
            if !rest.is_empty() {
                return Err(PyValueError::new_err("nodes have four bytes each"));
            }
            Self::List(numbers.iter().map(|&number| u32::from_ne_bytes(number)).collect())
        } else {
            Self::List(PyBuffer::<u32>::get(given)?.to_vec(given.py())?)
        };
        match nodes.outsider(limit) {
            Some(node) => Err(PyIndexError::new_err(format!("there is no node {node} in a graph of {limit} nodes"))),
            None => Ok(nodes),
        }
    }

    fn outsider(&self, limit: usize) -> Option<i64> {
        match self {
            Self::Even { count: 0, .. } => None,
            Self::Even { start, step, count } => {
                let last = i64::try_from(count - 1).ok().and_then(|steps| step.checked_mul(steps));
                let last = last.and_then(|way| start.checked_add(way)).unwrap_or(i64::MAX);
                [*start, last].into_iter().find(|&node| node < 0 || node as u64 >= limit as u64)
            }
            Self::List(nodes) => nodes.iter().find(|&&node| node as usize >= limit).map(|&node| node.into()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Even { count, .. } => *count,
            Self::List(nodes) => nodes.len(),
        }
    }

    /// The node at a place, which must be below [`Nodes::len`].
    #[inline]
    pub(crate) fn at(&self, place: usize) -> u32 {
        match self {
            Self::Even { start, step, .. } => (start + step * place as i64) as u32,
            Self::List(nodes) => nodes[place],
        }
    }
}

/// The nodes of operations as bytes of native 32-bit numbers; the place of the first operation without a node instead.
pub(crate) fn nodes_of<'py>(registry: &Registry, operations: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyAny>> {
    let py = operations.py();
    let mut bytes = Vec::with_capacity(operations.len() * 4);
    for (place, operation) in operations.iter().enumerate() {
        match registry.find(operation.as_ptr()) {
            Some(node) => bytes.extend_from_slice(&node.to_ne_bytes()),
            None => return Ok(place.into_pyobject(py)?.into_any()),
        }
    }
    Ok(PyBytes::new(py, &bytes).into_any())
}
