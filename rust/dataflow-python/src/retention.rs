//! Which values a run keeps for its result.

use std::collections::HashSet;
use std::sync::Arc;

use dataflow_core::ids::SlotId;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::plan::PyPlan;

/// The slots that are kept beyond their last consumer, from a word or from a list of slots in addition to the terminal
/// ones.
pub(crate) fn retained(plan: &PyPlan, retain: &Bound<'_, PyAny>) -> PyResult<Box<dyn Fn(SlotId) -> bool>> {
    let consumers: Arc<dataflow_core::plan::Plan> = plan.plan.clone();
    let is_terminal = move |slot: SlotId| consumers.consumer_counts()[slot.index()] == 0;
    if let Ok(word) = retain.cast::<PyString>() {
        return match word.to_str()? {
            "terminal" => Ok(Box::new(is_terminal)),
            "all" => Ok(Box::new(|_| true)),
            other => Err(PyValueError::new_err(format!("retain is 'terminal', 'all' or slots, not {other:?}"))),
        };
    }
    let slots: HashSet<u32> = retain.extract::<Vec<u32>>()?.into_iter().collect();
    Ok(Box::new(move |slot| is_terminal(slot) || slots.contains(&slot.0)))
}
