//! An attempt of a run in another process: what a worker process runs.

use dataflow_core::graph::INPUT_MUTABLE;
use dataflow_core::ids::{InstanceId, NodeId};
use dataflow_core::ready::Task;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::arrays;
use crate::call;
use crate::conclude;
use crate::frame::{Frame, Guest};
use crate::missing::Missing;
use crate::node_spec::NodeSpec;

/// What an input that may be written gets: a copy of an array that others may see, or each of a list.
fn to_write(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    if let Ok(items) = value.cast_exact::<PyList>() {
        let items = items.iter().map(arrays::private).collect::<PyResult<Vec<_>>>()?;
        return Ok(PyList::new(value.py(), items)?.into_any());
    }
    arrays::private(value)
}

/// Runs an operation with these inputs, MISSING for a default, and returns its outputs in the order of ports, MISSING for
/// an optional one that was not set. `record` is what `current_frame` gives as the run.
#[pyfunction]
#[pyo3(signature = (spec, operation, record, context, node, attempt, items, inputs, /))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn execute_attempt<'py>(
    py: Python<'py>,
    spec: Bound<'py, NodeSpec>,
    operation: Bound<'py, PyAny>,
    record: Py<PyAny>,
    context: Py<PyAny>,
    node: u32,
    attempt: u32,
    items: Py<PyTuple>,
    inputs: Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyTuple>> {
    let guest = Guest { record, spec: spec.clone().unbind(), items };
    let spec = spec.get();
    let task = Task { instance: InstanceId::ROOT, node: NodeId(node) };
    let mut frame = Frame::of_guest(&guest, spec, &operation, task, attempt);
    let missing = Missing::object(py)?;
    for (port, (default, value)) in spec.input_defaults.iter().zip(inputs.iter()).enumerate() {
        if value.is(missing) {
            frame.push_input(default.as_ref().map_or(std::ptr::null_mut(), Py::as_ptr));
        } else if spec.input_flags[port] & INPUT_MUTABLE != 0 {
            frame.push_owned_input(to_write(value)?.unbind());
        } else {
            frame.push_owned_input(value.unbind());
        }
    }
    drop(inputs);
    let returned = {
        let _pushed = frame.push();
        call::call(py, spec, &frame, &context)?
    };
    let outputs = conclude::outputs(py, spec, &frame, returned)?;
    let unset = missing.as_any();
    PyTuple::new(py, outputs.into_iter().map(|value| value.map_or_else(|| unset.clone(), |value| value.into_bound(py))))
}
