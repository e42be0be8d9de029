//! Attempts in whose place another plan runs: dynamic operations and loops. Python says which plan it is; its end comes
//! here, and ends the attempt or begins the next iteration.
#![allow(unsafe_code)]

use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use dataflow_core::expansion::Expansion;
use dataflow_core::ids::{NodeId, SlotId};
use dataflow_core::instance::Instance;
use dataflow_core::ready::Task;
use dataflow_core::run::Step;
use dataflow_core::status::State;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::body::{CoreRun, PythonBody, internal_error};
use crate::call;
use crate::conclude::{self, Via};
use crate::frame::{Frame, Values};
use crate::host::Host;
use crate::items::{self, Outcome};
use crate::kept::intern;
use crate::map_content::Element;
use crate::missing::Missing;
use crate::node_spec::{Expands, NodeSpec, Place};
use crate::plan::PyPlan;
use crate::resuming::{self, Restored};
use crate::run_program::{Ending, RunProgram};
use crate::timed::{self, Ended};

/// What the hooks say is to run next: the plan, the number of its first node, what its roots are given, which outputs of
/// its nodes are those of the expanded one (-1 for none), whether a failure in it may come to nothing, the values of its
/// parameters, and what an earlier run has done of it.
type Answer<'py> =
    (Bound<'py, PyPlan>, u32, Vec<(u32, Bound<'py, PyAny>)>, Vec<(i64, u32)>, bool, Vec<Py<PyAny>>, Vec<Restored<'py>>);

/// What runs in the place of an attempt.
struct Next {
    expansion: Expansion<PythonBody>,
    kept: Vec<SlotId>,
}

/// Goes on with the attempt of a node of which more comes than its own outputs.
#[cold]
pub(crate) fn expand(py: Python<'_>, step: &mut Step<'_, '_, PythonBody>, frame: Frame, host: &mut Host) {
    let (task, attempt, run, spec) = (step.task(), step.attempt(), step.run(), frame.spec());
    let failed = |error, step| conclude::fail(py, run, task, attempt, error, None, Via::Step(step));
    if let Some(map) = &spec.map {
        return items::expand(py, step, frame, map).unwrap_or_else(|error| failed(error, step));
    }
    if spec.place == Place::Loop {
        return run.body().launch(py, run, frame).unwrap_or_else(|error| failed(error, step));
    }
    match grow(py, step, frame, &mut None, host) {
        Ok(()) => {}
        Err(Some(error)) => failed(error, step),
        Err(None) => conclude::cancel(py, run, task, attempt, Via::Step(step)),
    }
}

/// As `expand` of what runs for an item of a map and is no map itself; the element is kept for another attempt. An error of
/// `None` says that the run was cancelled.
#[cold]
pub(crate) fn expand_item(
    py: Python<'_>,
    step: &mut Step<'_, '_, PythonBody>,
    frame: Frame,
    element: &mut Option<Element>,
    host: &mut Host,
) -> Result<(), Option<PyErr>> {
    grow(py, step, frame, element, host)
}

fn grow(
    py: Python<'_>,
    step: &mut Step<'_, '_, PythonBody>,
    frame: Frame,
    element: &mut Option<Element>,
    host: &mut Host,
) -> Result<(), Option<PyErr>> {
    let (task, attempt, run, spec) = (step.task(), step.attempt(), step.run(), frame.spec());
    let mut frame = frame;
    let value = if spec.expands == Expands::Iterations {
        inputs(py, &frame)?.into_any()
    } else if let Some(limit) = spec.timeout {
        match timed::attend(py, run, frame, host, limit)? {
            Ended::Returned(ended, returned) => {
                frame = ended;
                returned?.into_bound(py)
            }
            Ended::LeftBehind => return Err(None),
            Ended::TimedOut(error) => return Err(Some(error)),
        }
    } else {
        let _passage = run.body().passage(spec, step.started());
        let _pushed = frame.push();
        call::call(py, spec, &frame, &run.body().context)?
    };
    if spec.expands == Expands::Graph {
        spec.duration.note(step.clock() - step.started());
    }
    let answer = first(py, run, &frame, value)?;
    let Next { expansion, kept } = next(py, run, task, answer, element)?;
    // From here on it holds nothing: what it asked for goes to what it has expanded into.
    drop(frame);
    if let Some(limits) = &run.body().limits {
        limits.left(run, task);
    }
    debug_assert_eq!((step.task(), step.attempt()), (task, attempt));
    step.expand(expansion, |slot| kept.contains(&slot));
    Ok(())
}

/// Goes on with an attempt that has ended on an event loop, with what it returned.
pub(crate) fn begin(py: Python<'_>, run: &Arc<CoreRun>, frame: &Frame, value: Bound<'_, PyAny>) {
    let (task, attempt) = (frame.task, frame.attempt);
    let mut element = task.instance.is_items().then(|| items::pulled(py, run, frame)).flatten();
    let ready = first(py, run, frame, value).and_then(|answer| next(py, run, task, answer, &mut element));
    match ready {
        Ok(Next { expansion, kept }) => {
            if let Some(limits) = &run.body().limits {
                limits.left(run, task);
            }
            run.expand(task, attempt, expansion, |slot| kept.contains(&slot));
        }
        Err(error) => end(py, run, task, attempt, Outcome::Failed(error), element, Via::Elsewhere),
    }
}

/// The values of the inputs, MISSING for those that have none.
fn inputs<'py>(py: Python<'py>, frame: &Frame) -> PyResult<Bound<'py, PyTuple>> {
    let missing = Missing::object(py)?;
    let values = (0..frame.spec().input_flags.len()).map(|port| {
        // SAFETY: an input of a live attempt.
        let value = unsafe { Bound::from_borrowed_ptr_or_opt(py, frame.input(port)) };
        value.unwrap_or_else(|| missing.clone().into_any())
    });
    PyTuple::new(py, values.collect::<Vec<_>>())
}

fn first<'py>(py: Python<'py>, run: &CoreRun, frame: &Frame, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let (node, indices) = items::path(run, frame.task);
    // SAFETY: the operation belongs to the program of the run, or to the map of a live item.
    let operation = unsafe { Bound::from_borrowed_ptr(py, frame.operation()) };
    let indices = PyTuple::new(py, indices)?;
    run.body().hook(py, run, |hooks| {
        hooks.call_method1(intern!(py, "expand"), (node, &indices, frame.attempt, &operation, &value))
    })
}

/// Reads what the hooks have answered.
fn next(
    py: Python<'_>,
    run: &CoreRun,
    task: Task,
    answer: Bound<'_, PyAny>,
    element: &mut Option<Element>,
) -> PyResult<Next> {
    let (plan, base, given, outputs, is_contained, parameters, restored): Answer<'_> = answer.extract()?;
    let plan = plan.get();
    let count = plan.plan.node_count();
    if base.checked_add(count as u32).is_none() {
        return Err(PyValueError::new_err("a run has numbers for 4,294,967,295 operations, and they are used up"));
    }
    let outputs = outputs.into_iter().map(|(node, port)| match u32::try_from(node) {
        Ok(node) => Ok(Some(plan.plan.slot(plan.output(node, port)?, port))),
        Err(_) => Ok(None),
    });
    let outputs = outputs.collect::<PyResult<Box<[Option<SlotId>]>>>()?;
    let given = resuming::given(py, &plan.plan, run.body().limits.as_ref(), restored, &given)?;
    let kept = outputs.iter().flatten().copied().collect();
    // An item is attempted again, or leaves its failure to the map.
    let is_contained = is_contained || task.instance.is_items();
    let ending = Ending { outputs, pulled: element.take() };
    let program = RunProgram::new(plan.program.clone(), parameters)?.expanded(base, ending);
    let expansion = Expansion::new(plan.plan.clone(), program).with_given(given);
    Ok(Next { expansion: if is_contained { expansion.contained() } else { expansion }, kept })
}

/// Ends the attempt that was expanded into an instance whose nodes all have an outcome.
pub(crate) fn ended(
    py: Python<'_>,
    step: &mut Step<'_, '_, PythonBody>,
    child: &Instance<PythonBody>,
    _host: &mut Host,
) {
    let (task, attempt, run) = (step.task(), step.attempt(), step.run());
    let caught = catch_unwind(AssertUnwindSafe(|| conclude_child(py, step, child)));
    if let Err(panic) = caught {
        end(py, run, task, attempt, Outcome::Failed(internal_error(&*panic)), None, Via::Step(step));
    }
}

fn conclude_child(py: Python<'_>, step: &mut Step<'_, '_, PythonBody>, child: &Instance<PythonBody>) {
    let (task, attempt, run) = (step.task(), step.attempt(), step.run());
    let Some(Ending { outputs, mut pulled }) = child.program().take_ending() else { return };
    let values = values(py, run, child, &outputs);
    let outcome = match failed(child) {
        failed if failed.is_empty() => {
            let states = (0..child.plan().node_count() as u32).map(|node| child.status(NodeId(node)).0);
            if states.into_iter().any(State::is_failure) {
                Ok(Outcome::Cancelled)
            } else {
                Ok(Outcome::Outputs(values))
            }
        }
        failed => {
            let (node, indices) = items::path(run, task);
            let error = run
                .body()
                .hook(py, run, |hooks| hooks.call_method1(intern!(py, "expansion_error"), (node, &indices, &failed)));
            error.map(|error| Outcome::Failed(PyErr::from_value(error)))
        }
    };
    let outcome = outcome.and_then(|outcome| match outcome {
        Outcome::Outputs(values) => outputs_of(py, step, child, values, &mut pulled),
        outcome => Ok(Some(outcome)),
    });
    match outcome {
        Ok(None) => {}
        Ok(Some(outcome)) => end(py, run, task, attempt, outcome, pulled, Via::Step(step)),
        Err(error) => end(py, run, task, attempt, Outcome::Failed(error), pulled, Via::Step(step)),
    }
}

/// The spec of what has expanded, and the operation.
fn expanded_spec(run: &CoreRun, task: Task) -> &NodeSpec {
    if task.instance.is_items() {
        // The item is under way until it is concluded.
        items::spec_object(run, task).get()
    } else {
        run.instance(task.instance).program().spec(task.node)
    }
}

/// The outputs of what was expanded, each checked, or `None` when a loop goes on.
fn outputs_of(
    py: Python<'_>,
    step: &mut Step<'_, '_, PythonBody>,
    child: &Instance<PythonBody>,
    values: Values,
    pulled: &mut Option<Element>,
) -> PyResult<Option<Outcome>> {
    let (task, run) = (step.task(), step.run());
    let spec = expanded_spec(run, task);
    let values = if spec.expands == Expands::Iterations {
        let missing = Missing::object(py)?;
        let values = values.into_iter().map(|value| value.unwrap_or_else(|| missing.clone().into_any().unbind()));
        let values = PyTuple::new(py, values.collect::<Vec<_>>())?;
        let (node, indices) = items::path(run, task);
        let indices = PyTuple::new(py, indices)?;
        let base = child.program().base();
        let answer = run.body().hook(py, run, |hooks| {
            hooks.call_method1(intern!(py, "iteration_ended"), (node, &indices, step.attempt(), base, &values))
        })?;
        drop(values);
        match answer.cast_into::<PyTuple>() {
            Ok(outputs) if outputs.len() == spec.output_flags.len() && !is_next(&outputs) => {
                outputs.iter().map(|value| (!value.is(missing)).then(|| value.unbind())).collect()
            }
            Ok(answer) => {
                let Next { expansion, kept } = next(py, run, task, answer.into_any(), pulled)?;
                step.expand(expansion, |slot| kept.contains(&slot));
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
    } else {
        values
    };
    let values = conclude::of_others(py, spec, values)?;
    if let Some(dimensions) = &spec.dimensions {
        let missing = Missing::object(py)?.as_any();
        let shown =
            PyTuple::new(py, values.iter().map(|value| value.as_ref().map_or(missing, |value| value.bind(py))))?;
        let (node, indices) = items::path(run, task);
        run.body().hook(py, run, |hooks| {
            let arguments = (dimensions, node, &indices, step.attempt(), &shown);
            hooks.call_method1(intern!(py, "compare_dimensions"), arguments)
        })?;
    }
    Ok(Some(Outcome::Outputs(values)))
}

/// Whether the hooks have answered with what is to run next: its first part is a plan, which no output is.
fn is_next(answer: &Bound<'_, PyTuple>) -> bool {
    answer.len() == 7 && answer.get_item(0).is_ok_and(|first| first.is_instance_of::<PyPlan>())
}

/// Takes what was kept of an expansion; the values are let go there.
fn values(py: Python<'_>, run: &CoreRun, child: &Instance<PythonBody>, outputs: &[Option<SlotId>]) -> Values {
    // SAFETY: all nodes have delivered, and the slots have the share that was added for this.
    let value = |slot| unsafe { child.value(slot) }.map(|value| value.clone_ref(py));
    let values = outputs.iter().map(|slot| slot.and_then(value)).collect();
    let mut kept: Vec<SlotId> = outputs.iter().flatten().copied().collect();
    kept.sort_unstable();
    kept.dedup();
    for slot in kept {
        // SAFETY: as above; each such share is given back once, by the one that took the ending.
        if let Some(value) = unsafe { child.slots().release(slot) } {
            if let Some(limits) = &run.body().limits {
                limits.value_leaves(value.bind(py));
            }
            drop(value.into_bound(py));
        }
    }
    values
}

/// The numbers of the nodes that failed, in topological order.
fn failed(child: &Instance<PythonBody>) -> Vec<u32> {
    let order = child.plan().order().iter().map(|&node| NodeId(node));
    order.filter(|&node| child.status(node).0 == State::Failed).map(|node| child.program().number(node)).collect()
}

fn end(
    py: Python<'_>,
    run: &CoreRun,
    task: Task,
    attempt: u32,
    outcome: Outcome,
    pulled: Option<Element>,
    via: Via<'_, '_, '_>,
) {
    if task.instance.is_items() {
        return items::conclude(py, run, task, attempt, outcome, pulled, via);
    }
    match outcome {
        Outcome::Outputs(outputs) => conclude::succeed(py, run, task, attempt, outputs, via),
        Outcome::Failed(error) => conclude::fail(py, run, task, attempt, error, None, via),
        Outcome::Cancelled => conclude::cancel(py, run, task, attempt, via),
    }
}

/// The instance that a number is in, and its node there.
pub(crate) fn place(run: &CoreRun, number: u32) -> PyResult<(&Instance<PythonBody>, NodeId)> {
    if (number as usize) < run.root().plan().node_count() {
        return Ok((run.root(), NodeId(number)));
    }
    // Numbers are given out in the order of expansions.
    let found = run.find_instance(|instance| match number.checked_sub(instance.program().base()) {
        None => Ordering::Greater,
        Some(node) if (node as usize) < instance.plan().node_count() => Ordering::Equal,
        Some(_) => Ordering::Less,
    });
    let found = found.map(|instance| (instance, NodeId(number - instance.program().base())));
    found.ok_or_else(|| PyIndexError::new_err(format!("the run has no node {number}")))
}
