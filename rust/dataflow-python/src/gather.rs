//! The inputs of an attempt, from slots and constants.
#![allow(unsafe_code)]

use dataflow_core::graph::{INPUT_MANY, INPUT_MUTABLE};
use dataflow_core::ids::NodeId;
use dataflow_core::instance::Instance;
use dataflow_core::plan::{Source, SourceKind};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::arrays;
use crate::body::PythonBody;
use crate::frame::Values;
use crate::node_spec::NodeSpec;
use crate::python_errors;

/// What came for each input of the node; `None` where its default applies.
pub(crate) fn gather(py: Python<'_>, instance: &Instance<PythonBody>, node: NodeId, attempt: u32) -> PyResult<Values> {
    let plan = instance.plan();
    let spec = instance.program().spec(node);
    let flags = plan.input_flags(node);
    let mut values = Values::with_capacity(flags.len());
    for (port, &flags) in flags.iter().enumerate() {
        let sources = plan.port_sources(node, port as u32);
        let value = if flags & INPUT_MANY != 0 {
            Some(many(py, instance, sources)?)
        } else {
            let value = sources.first().and_then(|&source| single(py, instance, source));
            match value {
                Some(value) if flags & INPUT_MUTABLE != 0 => {
                    Some(to_write(py, instance, sources[0], value, attempt >= spec.max_attempts)?)
                }
                value => value,
            }
        };
        if let Some(value) = &value {
            check(spec, port, flags, value)?;
        }
        values.push(value.map(Bound::unbind));
    }
    Ok(values)
}

#[inline]
fn single<'py>(py: Python<'py>, instance: &Instance<PythonBody>, source: Source) -> Option<Bound<'py, PyAny>> {
    match source.kind() {
        // SAFETY: the caller runs the live attempt of a consumer, whose share is given back only with its outcome.
        SourceKind::Slot(slot) => unsafe { instance.value(slot) }.map(|value| value.bind(py).clone()),
        SourceKind::Constant(index) => Some(instance.program().constant(index).bind(py).clone()),
        SourceKind::Unbound => None,
    }
}

/// A fresh list in connection order, without the sources that were skipped.
fn many<'py>(py: Python<'py>, instance: &Instance<PythonBody>, sources: &[Source]) -> PyResult<Bound<'py, PyAny>> {
    let items: Vec<_> = sources.iter().filter_map(|&source| single(py, instance, source)).collect();
    Ok(PyList::new(py, items)?.into_any())
}

/// The move or the copy of rule D2.
fn to_write<'py>(
    py: Python<'py>,
    instance: &Instance<PythonBody>,
    source: Source,
    value: Bound<'py, PyAny>,
    is_last_attempt: bool,
) -> PyResult<Bound<'py, PyAny>> {
    if let SourceKind::Slot(slot) = source.kind()
        && is_last_attempt
        && arrays::is_plain_array(&value)
        // SAFETY: as in `single`; no reference from the slot is held, `value` is one of our own.
        && let Some(sole) = unsafe { instance.take_input(slot) }
    {
        drop(value);
        return arrays::writeable(sole.into_bound(py), true);
    }
    arrays::writeable(value, false)
}

#[inline]
fn check(spec: &NodeSpec, port: usize, flags: u8, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let fault = if flags & INPUT_MANY != 0 {
        let items = value.cast::<PyList>()?.iter();
        items
            .map(|item| spec.input_checks[port].fault(&item))
            .find(|fault| !matches!(fault, Ok(None)))
            .unwrap_or(Ok(None))
    } else {
        spec.input_checks[port].fault(value)
    };
    match fault? {
        None => Ok(()),
        Some(fault) => {
            let name = spec.input_name(value.py(), port);
            let message = format!("input {name:?} of {} got a wrong value: {fault}", spec.label);
            Err(python_errors::value_type(value.py(), message))
        }
    }
}
