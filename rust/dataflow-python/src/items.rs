//! The items of a map: how one is run, how it ends, and how the map ends with them.
#![allow(unsafe_code)]

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dataflow_core::items::{ItemEnd, Items};
use dataflow_core::ready::Task;
use dataflow_core::run::{FailurePolicy, Step, Stop};
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use smallvec::SmallVec;

use crate::body::{CoreRun, LONG_NANOSECONDS, PythonBody};
use crate::call;
use crate::conclude::{self, Via};
use crate::events::{Kind, Moment};
use crate::expansion;
use crate::frame::{Frame, Values};
use crate::host::Host;
use crate::kept::intern;
use crate::map_content::{Content, Element, MapRun, content};
use crate::map_spec::MapSpec;
use crate::node_spec::{Expands, NodeSpec, Place};
use crate::python_errors;
use crate::results::Column;
use crate::timed::{self, Ended};

type End = ItemEnd<Element>;

/// Lets the live attempt of `step`, a node or an item, run once for each item of its sources.
pub(crate) fn expand(
    py: Python<'_>,
    step: &mut Step<'_, '_, PythonBody>,
    frame: Frame,
    map: &Py<MapSpec>,
) -> PyResult<()> {
    let body = step.run().body();
    let task = frame.task;
    let (mut content, len) = content(py, frame, map, &body.hooks)?;
    if body.commits.is_some() {
        let (node, indices) = path(step.run(), task);
        let indices = PyTuple::new(py, indices)?;
        let restored =
            body.hook(py, step.run(), |hooks| hooks.call_method1(intern!(py, "restored_items"), (node, &indices)))?;
        content.restored = (!restored.is_none()).then(|| restored.unbind());
    }
    let map = map.get();
    let place = map.item.get().place;
    let is_remote = place >= body.elsewhere && place < Place::Loop;
    let limit = if is_remote { map.limit.min(body.process_items) } else { map.limit };
    step.expand_items(MapRun::new(content), len, limit);
    Ok(())
}

/// The node that a task belongs to and the indices below it, the outermost first.
pub(crate) fn path(run: &CoreRun, task: Task) -> (u32, Vec<u32>) {
    let (mut task, mut indices) = (task, Vec::new());
    while task.instance.is_items() {
        indices.push(task.node.0);
        task = run.items(task.instance).parent().0;
    }
    indices.reverse();
    (run.instance(task.instance).program().number(task.node), indices)
}

/// The spec of the operation that an item runs, as an object.
pub(crate) fn spec_object(run: &CoreRun, task: Task) -> &Py<NodeSpec> {
    // SAFETY: a frame of the item is alive, so it has its slot.
    &unsafe { run.items(task.instance).load().content() }.map.get().item
}

impl PythonBody {
    #[inline]
    pub(crate) fn run_item_attempt(
        &self,
        py: Python<'_>,
        step: &mut Step<'_, '_, Self>,
        items: &Items<Self>,
        element: Option<Element>,
        host: &mut Host,
    ) -> End {
        // SAFETY: the lane that runs an item has a slot.
        let content = unsafe { items.load().content() };
        let map = content.map.get();
        let spec = map.item.get();
        let (task, attempt, run) = (step.task(), step.attempt(), step.run());
        if attempt == 1
            && let Some(restored) = &content.restored
        {
            match content.put_restored(py, restored, task.node.index(), &self.hooks) {
                Ok(true) => return End::Done,
                Ok(false) => {}
                Err(error) => {
                    return failed(py, run, items, content, task, attempt, error, step.seat() as u32, element);
                }
            }
        }
        if attempt > 1 {
            let (node, indices) = path(run, task);
            if let Err(error) =
                self.hook(py, run, |hooks| hooks.call_method1(intern!(py, "take_waiting_item"), (node, &indices)))
            {
                return failed(py, run, items, content, task, attempt, error, step.seat() as u32, None);
            }
        }
        let mut frame = Frame::new(run, spec, map.operation.bind(py), task, attempt);
        let mut own: Element = SmallVec::new();
        let is_elsewhere = spec.place >= self.elsewhere;
        let outlives = is_elsewhere || spec.expands != Expands::Nothing;
        let ready = content
            .give_inputs(py, &mut frame, task.node.index(), element.as_deref(), &mut own, outlives)
            .and_then(|()| host.renew_isolation(py, &self.base_context));
        if let Err(error) = ready {
            return failed(py, run, items, content, task, attempt, error, step.seat() as u32, element);
        }
        if let Some(inner) = &spec.map {
            return match expand(py, step, frame, inner) {
                Ok(()) => End::Expanded,
                Err(error) => failed(py, run, items, content, task, attempt, error, step.seat() as u32, element),
            };
        }
        if spec.expands != Expands::Nothing && spec.place != Place::Loop {
            drop(own);
            let mut element = element;
            return match expansion::expand_item(py, step, frame, &mut element, host) {
                Ok(()) => End::Expanded,
                Err(None) => cancelled(items, content),
                Err(Some(error)) => failed(py, run, items, content, task, attempt, error, step.seat() as u32, element),
            };
        }
        if is_elsewhere {
            return match self.launch(py, run, frame) {
                Ok(()) => End::Elsewhere,
                Err(error) => failed(py, run, items, content, task, attempt, error, step.seat() as u32, element),
            };
        }
        let returned = match spec.timeout {
            None => {
                let _pushed = frame.push();
                call::call(py, spec, &frame, &self.context)
            }
            Some(limit) => match timed::attend(py, run, frame, host, limit) {
                Ok(Ended::Returned(back, returned)) => {
                    frame = back;
                    returned.map(|value| value.into_bound(py))
                }
                Ok(Ended::LeftBehind) => return cancelled(items, content),
                Ok(Ended::TimedOut(error)) | Err(error) => {
                    return failed(py, run, items, content, task, attempt, error, step.seat() as u32, element);
                }
            },
        };
        let index = task.node.index();
        let put = returned.and_then(|value| match &self.commits {
            None => content.put_returned(py, spec, &frame, value, index, &self.hooks),
            Some(commits) => {
                let outputs = conclude::outputs(py, spec, &frame, value)?;
                commits.note_values(py, run, (task, attempt), &outputs, step.started())?;
                content.put_outputs(py, index, outputs, &self.hooks)
            }
        });
        match put {
            Ok(()) => End::Done,
            Err(error) => {
                drop(frame);
                failed(py, run, items, content, task, attempt, error, step.seat() as u32, element)
            }
        }
    }

    pub(crate) fn pull_element(
        &self,
        py: Python<'_>,
        run: &CoreRun,
        items: &Items<Self>,
        host: &mut Host,
    ) -> Option<Element> {
        // SAFETY: the lane that pulls has a slot.
        let content = unsafe { items.load().content() };
        let pulled = host.renew_isolation(py, &self.base_context).and_then(|()| {
            // What an iterator asks of the context is about the map.
            let _pushed = content.frame.push();
            content.pull(py, items.taken())
        });
        match pulled {
            Ok(element) => element,
            Err(error) => {
                let is_cancelled =
                    run.stopped() == Some(Stop::Cancellation) && python_errors::is_attempt_cancelled(py, &error);
                if self.is_interrupt(py, &error) && !is_cancelled {
                    self.interrupt(run, error.into_value(py));
                } else if !is_cancelled {
                    *content.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
                items.close();
                None
            }
        }
    }

    pub(crate) fn are_long(&self, items: &Items<Self>) -> bool {
        // SAFETY: asked by lanes.
        let expected = match unsafe { items.load().content() }.map.get().item.get().duration.longest() {
            0 => self.typical.load(Ordering::Relaxed),
            expected => expected,
        };
        expected == 0 || expected > LONG_NANOSECONDS
    }

    pub(crate) fn note_items(&self, items: &Items<Self>, nanoseconds: u64, count: u64) {
        // SAFETY: told by lanes.
        let content = unsafe { items.load().content() };
        content.map.get().item.get().duration.note(nanoseconds / count);
        self.typical.store(u32::try_from(nanoseconds / count).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// An item that waited for an attempt which it will not get: it failed, unless the run was cancelled.
    pub(crate) fn abandon_item(&self, py: Python<'_>, run: &CoreRun, items: &Items<Self>, task: Task, attempt: u32) {
        // SAFETY: the item still has its slot.
        let content = unsafe { items.load().content() };
        let (node, indices) = path(run, task);
        let error = self
            .hook(py, run, |hooks| hooks.call_method1(intern!(py, "take_waiting_item"), (node, &indices)))
            .ok()
            .and_then(|error| error.cast_into::<PyBaseException>().ok());
        match error {
            Some(error) if run.stopped() != Some(Stop::Cancellation) => {
                content.note_failure(py, run, task, attempt, error.unbind(), u32::MAX);
            }
            _ => content.lacks_outcomes.store(true, Ordering::Relaxed),
        }
    }

    pub(crate) fn end_map(
        &self,
        py: Python<'_>,
        run: &CoreRun,
        items: &Items<Self>,
        step: Option<&mut Step<'_, '_, Self>>,
    ) {
        // SAFETY: the scheduler calls this when the last slot was given back.
        let content = unsafe { items.load().take() };
        let (parent, attempt) = items.parent();
        let via = step.map_or(Via::Elsewhere, Via::Step);
        let Content { map, frame, sources, columns, failures, fault, lacks_outcomes, held, .. } = *content;
        if let Some(limits) = &self.limits {
            // From now on they count as the value of an output.
            limits.results_leave(held.into_inner());
        }
        drop((frame, sources));
        let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        let map = map.get();
        if let Some(fault) = fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return conclude::fail(py, run, parent, attempt, fault, None, via);
        }
        let has_all = items.is_exhausted() && !lacks_outcomes.load(Ordering::Relaxed);
        let is_whole = has_all && (failures.is_empty() || map.keeps_failures);
        if failures.is_empty() && !is_whole {
            return conclude::cancel(py, run, parent, attempt, via);
        }
        match self.gathered(py, run, parent, map, columns, failures, items.taken(), is_whole) {
            Ok(outputs) => conclude::succeed(py, run, parent, attempt, outputs, via),
            Err(error) => conclude::fail(py, run, parent, attempt, error, None, via),
        }
    }

    /// The outputs of a map, or the error that tells which items failed.
    #[allow(clippy::too_many_arguments)]
    fn gathered(
        &self,
        py: Python<'_>,
        run: &CoreRun,
        parent: Task,
        map: &MapSpec,
        columns: SmallVec<[Column; 1]>,
        mut failures: Vec<(u32, u32, Py<PyBaseException>)>,
        count: usize,
        is_whole: bool,
    ) -> PyResult<Values> {
        failures.sort_unstable_by_key(|failure| failure.0);
        let hooks = self.hooks.bind(py);
        let places = hooks.call_method1(intern!(py, "map_failures"), (&failures,))?;
        let missing = |index: usize| places.get_item(index);
        let columns = columns.into_iter().map(|column| {
            let is_open = matches!(column, Column::Open(_));
            let results = column.into_python(py, count, missing)?;
            if is_open && map.stacks { hooks.call_method1(intern!(py, "map_stacked"), (results,)) } else { Ok(results) }
        });
        let results = columns.collect::<PyResult<Vec<_>>>();
        if is_whole {
            return Ok(results?.into_iter().map(|results| Some(results.unbind())).collect());
        }
        // What went wrong with the items says more than what went wrong with their results.
        let results = results.unwrap_or_default();
        let (node, indices) = path(run, parent);
        let error = hooks
            .call_method1(intern!(py, "map_error"), (node, indices, failures, results, map.item.get().max_attempts))?;
        Err(PyErr::from_value(error))
    }
}

impl Content {
    fn note_failure(
        &self,
        py: Python<'_>,
        run: &CoreRun,
        task: Task,
        attempt: u32,
        error: Py<PyBaseException>,
        seat: u32,
    ) {
        let body = run.body();
        let (node, indices) = path(run, task);
        let most = self.map.get().item.get().max_attempts;
        let hears = body.events.is_some();
        let told = body.hook(py, run, |hooks| {
            hooks.call_method1(intern!(py, "item_failed"), (node, &indices, attempt, most, &error, hears))
        });
        match told {
            Ok(record) if hears => {
                let at = Moment { seat, time: run.now() };
                body.tell(py, Kind::Failed, node, attempt, at, Some(record.unbind()));
            }
            Ok(_) => {}
            Err(fault) => fault.write_unraisable(py, Some(body.hooks.bind(py))),
        }
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push((task.node.0, attempt, error));
    }
}

/// What follows from an attempt of an item that failed. The caller has the item's slot.
#[cold]
#[allow(clippy::too_many_arguments)]
fn failed(
    py: Python<'_>,
    run: &CoreRun,
    items: &Items<PythonBody>,
    content: &Content,
    task: Task,
    attempt: u32,
    error: PyErr,
    seat: u32,
    element: Option<Element>,
) -> End {
    let body = run.body();
    if run.stopped() == Some(Stop::Cancellation) && python_errors::is_attempt_cancelled(py, &error) {
        return cancelled(items, content);
    }
    if body.is_interrupt(py, &error) {
        body.interrupt(run, error.into_value(py));
        return cancelled(items, content);
    }
    let map = content.map.get();
    let spec = map.item.get();
    let error = error.into_value(py);
    let delay = match &spec.retry_policy {
        Some(policy) if attempt < spec.max_attempts && run.goes_on(task) => body
            .hook(py, run, |hooks| hooks.call_method1(intern!(py, "item_retry_delay"), (policy, attempt, &error)))
            .and_then(|delay| delay.extract::<Option<f64>>()),
        _ => Ok(None),
    };
    let (delay, error) = match delay {
        Ok(delay) => (delay, error),
        // A policy that raises is the failure that the user must see.
        Err(fault) => (None, fault.into_value(py)),
    };
    if let Some(seconds) = delay {
        let (node, indices) = path(run, task);
        let told = body.hook(py, run, |hooks| {
            hooks.call_method1(intern!(py, "item_attempt_failed"), (node, &indices, &error, seconds))
        });
        match told {
            Ok(payload) => {
                let at = Moment { seat, time: run.now() };
                body.tell(py, Kind::Retrying, node, attempt, at, Some(payload.unbind()));
            }
            Err(fault) => fault.write_unraisable(py, Some(body.hooks.bind(py))),
        }
        return End::Again(Duration::try_from_secs_f64(seconds).ok(), element);
    }
    content.note_failure(py, run, task, attempt, error, seat);
    if run.policy() == FailurePolicy::FailFast && !map.keeps_failures {
        // Nothing more of it starts; what runs finishes.
        items.close();
        run.drop_waiting(items, None);
    }
    End::Done
}

/// An item that did not come to its end because the run was cancelled.
fn cancelled(items: &Items<PythonBody>, content: &Content) -> End {
    content.lacks_outcomes.store(true, Ordering::Relaxed);
    items.close();
    End::Done
}

/// How an item ends that did not end in the hands of a lane.
pub(crate) enum Outcome {
    Outputs(Values),
    Failed(PyErr),
    Cancelled,
}

/// Ends an item that ran elsewhere than on a worker, or that was a map itself.
pub(crate) fn conclude(
    py: Python<'_>,
    run: &CoreRun,
    task: Task,
    attempt: u32,
    outcome: Outcome,
    pulled: Option<Element>,
    via: Via<'_, '_, '_>,
) {
    let items = run.items(task.instance);
    // SAFETY: an item that is under way has a slot.
    let content = unsafe { items.load().content() };
    let outcome = match outcome {
        Outcome::Outputs(outputs) => {
            let body = run.body();
            let kept = body
                .commits
                .as_ref()
                .map_or(Ok(()), |commits| commits.note_values(py, run, (task, attempt), &outputs, run.now()));
            kept.and_then(|()| content.put_outputs(py, task.node.index(), outputs, &body.hooks)).err()
        }
        Outcome::Failed(error) => Some(error),
        Outcome::Cancelled => {
            let end = cancelled(items, content);
            return end_item(run, task, attempt, end, via);
        }
    };
    let end = match outcome {
        None => End::Done,
        Some(error) => failed(py, run, items, content, task, attempt, error, via.seat(), pulled),
    };
    end_item(run, task, attempt, end, via);
}

/// What was pulled for an item, which is needed for another attempt; what has an index is looked up again.
pub(crate) fn pulled(py: Python<'_>, run: &CoreRun, frame: &Frame) -> Option<Element> {
    let items = run.items(frame.task.instance);
    // SAFETY: an item that is under way has a slot.
    let content = unsafe { items.load().content() };
    items.len().is_none().then(|| {
        let over = content.map.get().over.iter();
        // SAFETY: the inputs of a live attempt, which its frame owns.
        over.map(|&port| unsafe { Bound::from_borrowed_ptr(py, frame.input(port)) }.unbind()).collect()
    })
}

/// Ends an attempt of an item with an error of the engine's own.
pub(crate) fn panicked(
    py: Python<'_>,
    run: &CoreRun,
    items: &Items<PythonBody>,
    task: Task,
    attempt: u32,
    error: PyErr,
) -> End {
    // SAFETY: called by the lane that ran the item.
    let content = unsafe { items.load().content() };
    content.note_failure(py, run, task, attempt, error.into_value(py), u32::MAX);
    End::Done
}

fn end_item(run: &CoreRun, task: Task, attempt: u32, end: End, via: Via<'_, '_, '_>) {
    match via {
        Via::Step(step) => step.end_item(end),
        Via::Elsewhere => run.end_item(task, attempt, end),
    }
}
