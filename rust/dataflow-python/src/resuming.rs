//! A run that takes over what an earlier one has done.

use dataflow_core::given::Given;
use dataflow_core::ids::NodeId;
use dataflow_core::plan::Plan;
use dataflow_core::resuming;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::arrays;
use crate::limits::RunLimits;
use crate::missing::Missing;
use crate::plan::PyPlan;
use crate::retention::retained;
use crate::run::PyRun;

/// A node, the values of some of its outputs by port, and whether it left an output unset.
pub(crate) type Restored<'py> = (u32, Vec<(u32, Bound<'py, PyAny>)>, bool);

/// One byte for each node: of those that may be restored for their own part, which may be with all that is before them.
#[pyfunction]
pub(crate) fn restorable(py: Python<'_>, plan: &PyPlan, candidates: &[u8]) -> PyResult<Vec<u8>> {
    let candidates = flags(plan, candidates)?;
    let restored = py.detach(|| resuming::restorable(&plan.plan, &candidates));
    Ok(restored.into_iter().map(u8::from).collect())
}

/// The outputs of restored nodes that something asks for: node and port, in the order of nodes.
#[pyfunction]
pub(crate) fn wanted_outputs(plan: &PyPlan, restored: &[u8], retain: &Bound<'_, PyAny>) -> PyResult<Vec<(u32, u32)>> {
    let restored = flags(plan, restored)?;
    let slots = resuming::wanted(&plan.plan, &restored, retained(plan, retain)?);
    let mut slots = slots.into_iter().peekable();
    let mut outputs = Vec::with_capacity(slots.len());
    for node in 0..plan.plan.node_count() as u32 {
        let own = plan.plan.slots_of(NodeId(node));
        while let Some(slot) = slots.next_if(|slot| own.contains(&slot.0)) {
            outputs.push((node, slot.0 - own.start));
        }
    }
    Ok(outputs)
}

fn flags(plan: &PyPlan, bytes: &[u8]) -> PyResult<Vec<bool>> {
    let count = plan.plan.node_count();
    if bytes.len() != count {
        return Err(PyValueError::new_err(format!("{} flags were given for {count} nodes", bytes.len())));
    }
    Ok(bytes.iter().map(|&byte| byte != 0).collect())
}

/// Gives nodes of a run that has not started what they have put out in an earlier one, each with all before it. One byte for
/// each node says which: 1 for one that is restored, 2 for one that was skipped, and will be again. Those that are restored and
/// not named have no value that anybody asks for.
#[pyfunction]
pub(crate) fn restore(py: Python<'_>, run: &PyRun, restored: &[u8], nodes: Vec<Restored<'_>>) -> PyResult<()> {
    let core = run.core()?;
    if run.has_started() {
        return Err(PyRuntimeError::new_err("a run is restored before it starts"));
    }
    let plan = core.root().plan();
    if restored.len() != plan.node_count() {
        return Err(PyValueError::new_err(format!(
            "{} flags were given for {} nodes",
            restored.len(),
            plan.node_count()
        )));
    }
    let is_settled: Vec<bool> = restored.iter().map(|&byte| byte != 0).collect();
    if resuming::restorable(plan, &is_settled) != is_settled {
        return Err(PyValueError::new_err("a node is restored with all that is before it"));
    }
    let mut is_bare: Vec<bool> = restored.iter().map(|&byte| byte == 1).collect();
    for (node, ..) in &nodes {
        match is_bare.get_mut(*node as usize) {
            Some(bare) if *bare => *bare = false,
            _ => return Err(PyValueError::new_err(format!("node {node} is not restored, or was given twice"))),
        }
    }
    let bare = (0..plan.node_count() as u32).filter(|&node| is_bare[node as usize]);
    let nodes = bare.map(|node| (node, Vec::new(), false)).chain(nodes).collect();
    let given = given(py, plan, core.body().limits.as_ref(), nodes, &[])?;
    py.detach(|| core.restore(given));
    Ok(())
}

/// The nodes of a plan that are given their outputs: those that have none to wait for, since they stand for what comes
/// from outside, and those that an earlier run has done.
pub(crate) fn given(
    py: Python<'_>,
    plan: &Plan,
    limits: Option<&RunLimits>,
    restored: Vec<Restored<'_>>,
    from_outside: &[(u32, Bound<'_, PyAny>)],
) -> PyResult<Vec<Given<Py<PyAny>>>> {
    let missing = Missing::object(py)?;
    let outside = from_outside.iter().map(|(node, value)| match value.is(missing) {
        true => (*node, Vec::new(), true),
        false => (*node, vec![(0, value.clone())], false),
    });
    let given = outside.chain(restored).map(|(node, values, left_unset)| {
        if node as usize >= plan.node_count() {
            return Err(PyValueError::new_err(format!("there is no node {node}")));
        }
        let node = NodeId(node);
        let own = plan.slots_of(node);
        let values = values.into_iter().map(|(port, value)| {
            if port >= own.len() as u32 {
                return Err(PyValueError::new_err(format!("node {} has no output {port}", node.0)));
            }
            let is_consumed = plan.consumer_counts()[(own.start + port) as usize] > 0;
            let value = if is_consumed && arrays::is_plain_array(&value) { arrays::share(value)? } else { value };
            if let Some(limits) = limits {
                limits.value_comes(&value);
            }
            Ok((port, value.unbind()))
        });
        Ok(Given::new(node, values.collect::<PyResult<Vec<_>>>()?, left_unset))
    });
    given.collect()
}
