//! The inputs of an attempt, from slots and constants.
#![allow(unsafe_code)]

use dataflow_core::graph::{INPUT_MANY, INPUT_MUTABLE, OUTPUT_FRESH};
use dataflow_core::ids::NodeId;
use dataflow_core::instance::Instance;
use dataflow_core::plan::{Source, SourceKind};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::arrays;
use crate::body::PythonBody;
use crate::dimensions;
use crate::frame::Frame;
use crate::kept::intern;
use crate::limits::RunLimits;
use crate::node_spec::NodeSpec;
use crate::python_errors;

/// Gives the frame its inputs, each checked: borrowed from the slots, whose shares the attempt gives back only with its
/// outcome, or made for it.
#[inline]
pub(crate) fn gather(
    py: Python<'_>,
    body: &PythonBody,
    instance: &Instance<PythonBody>,
    frame: &mut Frame,
) -> PyResult<()> {
    let node = frame.task.node;
    let spec = frame.spec();
    if !spec.takes_values_as_they_are {
        return gather_specially(py, body, instance, node, frame);
    }
    for (port, source) in instance.plan().sources(node).iter().enumerate() {
        match borrowed(py, instance, *source) {
            Some(value) => {
                if let Some(fault) = spec.input_checks[port].fault(value)? {
                    return Err(wrong(py, spec, port, &fault));
                }
                frame.push_input(value.as_ptr());
            }
            None => frame.push_input(default(spec, port)),
        }
    }
    Ok(())
}

#[inline]
fn default(spec: &NodeSpec, port: usize) -> *mut ffi::PyObject {
    spec.input_defaults[port].as_ref().map_or(std::ptr::null_mut(), Py::as_ptr)
}

/// The value of a source, where it lies.
#[inline]
fn borrowed<'a, 'py>(
    py: Python<'py>,
    instance: &'a Instance<PythonBody>,
    source: Source,
) -> Option<&'a Bound<'py, PyAny>> {
    match source.kind() {
        // SAFETY: the caller runs the live attempt of a consumer, whose share is given back only with its outcome.
        SourceKind::Slot(slot) => unsafe { instance.value(slot) }.map(|value| value.bind(py)),
        SourceKind::Constant(index) => Some(instance.program().constant(index).bind(py)),
        SourceKind::Unbound => None,
    }
}

/// For a node with inputs that take many values, that may be written, or whose dimensions have names.
#[inline(never)]
fn gather_specially(
    py: Python<'_>,
    body: &PythonBody,
    instance: &Instance<PythonBody>,
    node: NodeId,
    frame: &mut Frame,
) -> PyResult<()> {
    let plan = instance.plan();
    let spec = instance.program().spec(node);
    let is_last_attempt = frame.attempt >= spec.max_attempts && spec.fallback.is_none();
    let limits = body.limits.as_ref();
    // A worker process makes what may be written itself, of what it was sent.
    let is_sent = body.goes_to_process(spec);
    for (port, &flags) in plan.input_flags(node).iter().enumerate() {
        let sources = plan.port_sources(node, port as u32);
        if flags & (INPUT_MANY | INPUT_MUTABLE) == 0 {
            match sources.first().and_then(|&source| borrowed(py, instance, source)) {
                Some(value) => {
                    check(spec, port, flags, value)?;
                    frame.push_input(value.as_ptr());
                }
                None => frame.push_input(default(spec, port)),
            }
            continue;
        }
        let writes = (flags & INPUT_MUTABLE != 0 && !is_sent).then_some(Writes { is_last_attempt, limits });
        let value = if flags & INPUT_MANY != 0 {
            Some(many(py, instance, sources, writes)?)
        } else {
            sources.first().and_then(|&source| single(py, instance, source, writes)).transpose()?
        };
        match value {
            Some(value) => {
                check(spec, port, flags, &value)?;
                frame.push_owned_input(value.unbind());
            }
            None => frame.push_input(default(spec, port)),
        }
    }
    dimensions::check_inputs(py, spec, frame)
}

/// The inputs of an operation that stands in for a failed one: for each of them the port of the failed one, -1 for the
/// default, and -2 for the error.
pub(crate) fn gather_instead(
    py: Python<'_>,
    instance: &Instance<PythonBody>,
    frame: &mut Frame,
    ports: &[i32],
    error: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let (plan, node, spec) = (instance.plan(), frame.task.node, frame.spec());
    for (port, &from) in ports.iter().enumerate() {
        let value = match u32::try_from(from) {
            Ok(from) => {
                let (flags, sources) = (plan.input_flags(node)[from as usize], plan.port_sources(node, from));
                // Another attempt may follow, and the failed operation may have kept a reference: never a move.
                let writes = spec.input_flags[port] & INPUT_MUTABLE != 0;
                let writes = writes.then_some(Writes { is_last_attempt: false, limits: None });
                if flags & INPUT_MANY != 0 {
                    Some(many(py, instance, sources, writes)?)
                } else {
                    let own = sources.first().and_then(|&source| single(py, instance, source, writes)).transpose()?;
                    let replaced = instance.program().spec(node);
                    own.or_else(|| replaced.input_defaults[from as usize].as_ref().map(|value| value.bind(py).clone()))
                }
            }
            Err(_) if from == -2 => Some(error.clone()),
            Err(_) => None,
        };
        match value {
            Some(value) => {
                check(spec, port, spec.input_flags[port], &value)?;
                frame.push_owned_input(value.unbind());
            }
            None => frame.push_input(default(spec, port)),
        }
    }
    dimensions::check_inputs(py, spec, frame)
}

/// Why an input is missing that has no default, for whoever reads it.
#[cold]
pub(crate) fn missing(py: Python<'_>, frame: &Frame, port: usize) -> PyErr {
    let spec = frame.spec();
    let mut text = format!("input {:?} of {} has no value and no default", spec.input_name(py, port), spec.label);
    if let Some(run) = frame.run().filter(|_| !frame.task.instance.is_items() && frame.replaced().is_none()) {
        let (instance, record) = (run.instance(frame.task.instance), run.body().record.bind(py));
        let ends = instance.plan().port_sources(frame.task.node, port as u32).iter().filter_map(|source| {
            let SourceKind::Slot(slot) = source.kind() else { return None };
            let (node, _) = instance.plan().slot_owner(slot);
            let name = record.call_method1(intern!(py, "names"), (instance.program().number(node),)).ok()?;
            Some(format!("{name} ended {}", instance.status(node).0.name()))
        });
        let ends: Vec<String> = ends.collect();
        if !ends.is_empty() {
            let ends = ends.join(", ");
            text += &format!(": {ends}. Declare it optional or with a default if the operation can do without");
        }
    }
    python_errors::contract(py, text)
}

/// What an input that may be written needs to know of its attempt.
#[derive(Copy, Clone)]
struct Writes<'a> {
    is_last_attempt: bool,
    limits: Option<&'a RunLimits>,
}

fn single<'py>(
    py: Python<'py>,
    instance: &Instance<PythonBody>,
    source: Source,
    writes: Option<Writes<'_>>,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let value = borrowed(py, instance, source)?.clone();
    Some(match writes {
        None => Ok(value),
        Some(writes) => to_write(instance, source, value, writes),
    })
}

/// A fresh list in connection order, without the sources that were skipped.
fn many<'py>(
    py: Python<'py>,
    instance: &Instance<PythonBody>,
    sources: &[Source],
    writes: Option<Writes<'_>>,
) -> PyResult<Bound<'py, PyAny>> {
    let items = sources.iter().filter_map(|&source| single(py, instance, source, writes));
    Ok(PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any())
}

/// The move or the copy of rule D2.
fn to_write<'py>(
    instance: &Instance<PythonBody>,
    source: Source,
    value: Bound<'py, PyAny>,
    writes: Writes<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    if let SourceKind::Slot(slot) = source.kind()
        && writes.is_last_attempt
        && arrays::is_plain_array(&value)
        // SAFETY: as in `borrowed`; no reference from the slot is held, `value` is one of our own.
        && let Some(sole) = unsafe { instance.take_input(slot) }
    {
        let py = value.py();
        drop(value);
        if let Some(limits) = writes.limits {
            limits.value_leaves(sole.bind(py));
        }
        let (owner, port) = instance.plan().slot_owner(slot);
        let is_fresh = instance.program().spec(owner).output_flags[port as usize] & OUTPUT_FRESH != 0;
        let sole = sole.into_bound(py);
        return if is_fresh { arrays::writeable_of_fresh(sole) } else { arrays::writeable(sole, true) };
    }
    arrays::writeable(value, false)
}

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
        Some(fault) => Err(wrong(value.py(), spec, port, &fault)),
    }
}

#[cold]
pub(crate) fn wrong(py: Python<'_>, spec: &NodeSpec, port: usize, fault: &str) -> PyErr {
    let name = spec.input_name(py, port);
    python_errors::value_type(py, format!("input {name:?} of {} got a wrong value: {fault}", spec.label))
}
