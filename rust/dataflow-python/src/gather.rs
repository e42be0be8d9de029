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
        let writes = (flags & INPUT_MUTABLE != 0).then_some(Writes { is_last_attempt: attempt >= spec.max_attempts });
        let value = if flags & INPUT_MANY != 0 {
            Some(many(py, instance, sources, writes)?)
        } else {
            sources.first().and_then(|&source| single(py, instance, source, writes)).transpose()?
        };
        if let Some(value) = &value {
            check(spec, port, flags, value)?;
        }
        values.push(value.map(Bound::unbind));
    }
    Ok(values)
}

/// What an input that may be written needs to know of its attempt.
#[derive(Copy, Clone)]
struct Writes {
    is_last_attempt: bool,
}

#[inline]
fn single<'py>(
    py: Python<'py>,
    instance: &Instance<PythonBody>,
    source: Source,
    writes: Option<Writes>,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let value = match source.kind() {
        // SAFETY: the caller runs the live attempt of a consumer, whose share is given back only with its outcome.
        SourceKind::Slot(slot) => unsafe { instance.value(slot) }?.bind(py).clone(),
        SourceKind::Constant(index) => instance.program().constant(index).bind(py).clone(),
        SourceKind::Unbound => return None,
    };
    Some(match writes {
        None => Ok(value),
        Some(Writes { is_last_attempt }) => to_write(instance, source, value, is_last_attempt),
    })
}

/// A fresh list in connection order, without the sources that were skipped.
fn many<'py>(
    py: Python<'py>,
    instance: &Instance<PythonBody>,
    sources: &[Source],
    writes: Option<Writes>,
) -> PyResult<Bound<'py, PyAny>> {
    let items = sources.iter().filter_map(|&source| single(py, instance, source, writes));
    Ok(PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any())
}

/// The move or the copy of rule D2.
fn to_write<'py>(
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
        let py = value.py();
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
