//! How an attempt ends: outputs checked and committed together, or a failure that is final or retried.

use std::sync::atomic::Ordering;
use std::time::Duration;

use dataflow_core::graph::{OUTPUT_FRESH, OUTPUT_OPTIONAL};
use dataflow_core::instance::Instance;
use dataflow_core::outcome::Claim;
use dataflow_core::ready::Task;
use dataflow_core::run::{Step, Stop};
use dataflow_core::status::State;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::arrays;
use crate::body::{CoreRun, PythonBody};
use crate::commits::Commits;
use crate::dimensions;
use crate::events::{Kind, Moment};
use crate::frame::{Frame, Values};
use crate::items::{self, Outcome};
use crate::kept::intern;
use crate::limits::RunLimits;
use crate::node_spec::{CallKind, NodeSpec};
use crate::python_errors;
use crate::stand_in;

/// Which way the outcome takes: through the worker that ran the attempt, or from any other thread.
pub(crate) enum Via<'a, 's, 'q> {
    Step(&'a mut Step<'s, 'q, PythonBody>),
    Elsewhere,
}

impl Via<'_, '_, '_> {
    fn clock(&mut self, run: &CoreRun) -> u64 {
        match self {
            Via::Step(step) => step.clock(),
            Via::Elsewhere => run.now(),
        }
    }

    pub(crate) fn seat(&self) -> u32 {
        match self {
            Via::Step(step) => step.seat() as u32,
            Via::Elsewhere => u32::MAX,
        }
    }

    fn deliver(self, run: &CoreRun, claim: Claim<'_, PythonBody>) {
        match self {
            Via::Step(step) => step.deliver(claim),
            Via::Elsewhere => run.deliver(claim),
        }
    }
}

/// Commits what a worker's attempt has set or returned, or gives back why it cannot.
///
/// The frame is empty afterwards: it keeps no value that a successor may want for itself alone.
#[inline]
pub(crate) fn commit<'a, 's, 'q>(
    py: Python<'_>,
    spec: &NodeSpec,
    frame: &Frame,
    returned: PyResult<Bound<'_, PyAny>>,
    step: &'a mut Step<'s, 'q, PythonBody>,
) -> Result<(), (PyErr, &'a mut Step<'s, 'q, PythonBody>)> {
    let (task, attempt, run) = (step.task(), step.attempt(), step.run());
    let instance = step.instance();
    let slots = instance.plan().slots_of(task.node);
    let ready = returned.and_then(|value| {
        if spec.has_one_output {
            let output = match spec.kind {
                CallKind::Method => frame.take_output(py, 0),
                CallKind::Function => {
                    spec.check_output(0, &value)?;
                    return Ok(Outputs::One(shared(instance, spec, 0, slots.start, value)?));
                }
            };
            return match output {
                Some(output) => Ok(Outputs::One(shared(instance, spec, 0, slots.start, output)?)),
                None => all_set(py, spec, vec_of(None), !value.is_none()).map(Outputs::Many),
            };
        }
        let mut values = outputs(py, spec, frame, value)?;
        share_all(py, instance, spec, slots.clone(), &mut values)?;
        Ok(Outputs::Many(values))
    });
    let outputs = match ready {
        Ok(outputs) => outputs,
        Err(error) => return Err((error, step)),
    };
    if let Some(commits) = &run.body().commits
        && let Err(error) = outputs.note(py, commits, run, step)
    {
        return Err((error, step));
    }
    let now = step.clock();
    let took = now - step.started();
    spec.duration.note(took);
    run.body().typical.store(u32::try_from(took).unwrap_or(u32::MAX), Ordering::Relaxed);
    // Nobody else can end the attempt of an operation that runs on a worker.
    let claim = run.claim_own(task, attempt, State::Succeeded, now);
    let claim = outputs.put(py, run, claim);
    if run.body().events.is_some() {
        let at = Moment { seat: step.seat() as u32, time: now };
        run.body().tell(py, Kind::Completed, instance.program().number(task.node), attempt, at, None);
    }
    step.deliver(claim);
    Ok(())
}

enum Outputs<'py> {
    One(Bound<'py, PyAny>),
    Many(Values),
}

impl Outputs<'_> {
    #[inline(always)]
    fn put<'r>(self, py: Python<'_>, run: &CoreRun, mut claim: Claim<'r, PythonBody>) -> Claim<'r, PythonBody> {
        if let Some(limits) = &run.body().limits {
            return self.put_counted(py, run, limits, claim);
        }
        let mut put = |port, value: Py<PyAny>| {
            if let Some(unwanted) = claim.put(port, value) {
                drop(unwanted.into_bound(py));
            }
        };
        match self {
            Self::One(value) => put(0, value.unbind()),
            Self::Many(values) => {
                for (port, value) in values.into_iter().enumerate() {
                    if let Some(value) = value {
                        put(port as u32, value);
                    }
                }
            }
        }
        claim
    }
}

impl<'py> Outputs<'py> {
    /// Tells who keeps what succeeds.
    fn note(&self, py: Python<'py>, commits: &Commits, run: &CoreRun, step: &Step<'_, '_, PythonBody>) -> PyResult<()> {
        let attempt = (step.task(), step.attempt());
        match self {
            Self::One(value) => commits.note(py, run, attempt, std::iter::once(Some(value)), step.started()),
            Self::Many(values) => commits.note_values(py, run, attempt, values, step.started()),
        }
    }
}

impl Outputs<'_> {
    /// As `put`, where it may matter how large the values are.
    #[cold]
    fn put_counted<'r>(
        self,
        py: Python<'_>,
        run: &CoreRun,
        limits: &RunLimits,
        mut claim: Claim<'r, PythonBody>,
    ) -> Claim<'r, PythonBody> {
        let values = match self {
            Self::One(value) => std::iter::once(Some(value.unbind())).collect(),
            Self::Many(values) => values,
        };
        let mut bytes = 0;
        for (port, value) in values.into_iter().enumerate() {
            let Some(value) = value else { continue };
            bytes += limits.value_comes(value.bind(py));
            if let Some(unwanted) = claim.put(port as u32, value) {
                let unwanted = unwanted.into_bound(py);
                limits.value_leaves(&unwanted);
                drop(unwanted);
            }
        }
        limits.note_outputs(run.instance(claim.task().instance).program().spec(claim.task().node), bytes);
        claim
    }
}

/// What an attempt that returned `value` commits: every output checked, every required one present.
#[inline(never)]
pub(crate) fn outputs(py: Python<'_>, spec: &NodeSpec, frame: &Frame, value: Bound<'_, PyAny>) -> PyResult<Values> {
    let values = if spec.kind == CallKind::Function && !spec.output_flags.is_empty() {
        let values = if spec.spread { spread(py, spec, value)? } else { vec_of(Some(checked(spec, 0, value)?)) };
        all_set(py, spec, values, false)?
    } else {
        let returns_nothing = value.is_none();
        all_set(py, spec, frame.take_outputs(py), !returns_nothing)?
    };
    dimensions::check_outputs(py, spec, frame, &values)?;
    Ok(values)
}

/// What an attempt commits that ran in another process, which has done the same checks with its own copies of the classes.
pub(crate) fn received(py: Python<'_>, frame: &Frame, values: Values) -> PyResult<Values> {
    let values = of_others(py, frame.spec(), values)?;
    dimensions::check_outputs(py, frame.spec(), frame, &values)?;
    Ok(values)
}

/// What an attempt commits that other operations have made in its place.
pub(crate) fn of_others(py: Python<'_>, spec: &NodeSpec, mut values: Values) -> PyResult<Values> {
    values.resize_with(spec.output_flags.len(), || None);
    for (port, value) in values.iter().enumerate() {
        if let Some(value) = value {
            spec.check_output(port, value.bind(py))?;
        }
    }
    all_set(py, spec, values, false)
}

/// As [`outputs`]; what a fallback set is given to the outputs of the operation that it stands in for, by their names.
pub(crate) fn outputs_of(py: Python<'_>, frame: &Frame, value: Bound<'_, PyAny>) -> PyResult<Values> {
    let spec = frame.spec();
    let mut values = outputs(py, spec, frame, value)?;
    let Some(replaced) = frame.replaced() else { return Ok(values) };
    let names = spec.output_names.bind(py);
    let adopted = replaced.output_names.bind(py).iter().enumerate().map(|(port, name)| {
        let value = NodeSpec::position(names, name.cast::<PyString>()?).and_then(|position| values[position].take());
        value.map(|value| checked(replaced, port, value.into_bound(py))).transpose()
    });
    let adopted = all_set(py, replaced, adopted.collect::<PyResult<Values>>()?, false)?;
    dimensions::check_outputs(py, replaced, frame, &adopted)?;
    Ok(adopted)
}

fn all_set(py: Python<'_>, spec: &NodeSpec, values: Values, returned_a_value: bool) -> PyResult<Values> {
    let is_missing = |(value, flags): (&Option<Py<PyAny>>, &u8)| value.is_none() && flags & OUTPUT_OPTIONAL == 0;
    match values.iter().zip(&spec.output_flags).position(is_missing) {
        None => Ok(values),
        Some(port) => {
            let name = spec.output_name(py, port);
            let hint = if returned_a_value { " The value that execute() returned is not used." } else { "" };
            Err(python_errors::output_not_set(
                py,
                format!(
                    "{} ended without setting its output {name:?}. Call self.set_output({name:?}, value) in execute(), \
                     or declare it with OutputPort(optional=True).{hint}",
                    spec.label
                ),
            ))
        }
    }
}

fn vec_of(value: Option<Py<PyAny>>) -> Values {
    std::iter::once(value).collect()
}

fn checked(spec: &NodeSpec, port: usize, value: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    spec.check_output(port, &value)?;
    Ok(value.unbind())
}

fn spread(py: Python<'_>, spec: &NodeSpec, value: Bound<'_, PyAny>) -> PyResult<Values> {
    let expected = spec.output_flags.len();
    let wrong = |found: String| {
        let names = spec.output_names.bind(py);
        let message =
            format!("{} must return a tuple of {expected} values, one for each of {names}, not {found}", spec.label);
        python_errors::value_type(py, message)
    };
    let Ok(tuple) = value.cast::<PyTuple>() else {
        return Err(wrong(value.get_type().name()?.to_string()));
    };
    if tuple.len() != expected {
        return Err(wrong(format!("a tuple of {}", tuple.len())));
    }
    tuple.iter().enumerate().map(|(port, value)| checked(spec, port, value).map(Some)).collect()
}

/// What consumers of an output get: arrays that somebody consumes as read-only views (rule D2).
#[inline(always)]
fn shared<'py>(
    instance: &Instance<PythonBody>,
    spec: &NodeSpec,
    port: usize,
    slot: u32,
    value: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    if arrays::is_plain_array(&value) && instance.plan().consumer_counts()[slot as usize] > 0 {
        if spec.output_flags[port] & OUTPUT_FRESH != 0 {
            check_fresh(spec, port, &value)?;
        }
        return arrays::share(value);
    }
    Ok(value)
}

/// What cannot be written belongs to somebody else, and an input that is written would be: most likely it is a view of it.
#[cold]
fn check_fresh(spec: &NodeSpec, port: usize, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if arrays::is_writeable(value)? {
        return Ok(());
    }
    let (py, label) = (value.py(), &spec.label);
    let name = spec.output_name(py, port);
    Err(python_errors::contract(
        py,
        format!(
            "{label} promises a fresh array in {name:?} and set one that is read-only: a view of an input, or of something \
             else that others have. Copy it, or leave out fresh=True"
        ),
    ))
}

fn share_all(
    py: Python<'_>,
    instance: &Instance<PythonBody>,
    spec: &NodeSpec,
    slots: std::ops::Range<u32>,
    values: &mut Values,
) -> PyResult<()> {
    for (port, (value, slot)) in values.iter_mut().zip(slots).enumerate() {
        if value.as_ref().is_some_and(|value| arrays::is_plain_array(value.bind(py)))
            && let Some(array) = value.take()
        {
            *value = Some(shared(instance, spec, port, slot, array.into_bound(py))?.unbind());
        }
    }
    Ok(())
}

/// Commits the outputs of an attempt that ended elsewhere than on a worker, or as a map: all of them or, when it is stale,
/// none.
pub(crate) fn succeed(
    py: Python<'_>,
    run: &CoreRun,
    task: Task,
    attempt: u32,
    mut outputs: Values,
    mut via: Via<'_, '_, '_>,
) {
    if task.instance.is_items() {
        return items::conclude(py, run, task, attempt, Outcome::Outputs(outputs), None, via);
    }
    let instance = run.instance(task.instance);
    let (spec, slots) = (instance.program().spec(task.node), instance.plan().slots_of(task.node));
    if let Err(error) = share_all(py, instance, spec, slots, &mut outputs) {
        return fail(py, run, task, attempt, error, None, via);
    }
    if let Some(commits) = &run.body().commits
        && instance.status(task.node) == (State::Running, attempt)
        && let Err(error) = commits.note_values(py, run, (task, attempt), &outputs, instance.timing(task.node).started)
    {
        return fail(py, run, task, attempt, error, None, via);
    }
    let now = via.clock(run);
    let Some(claim) = run.claim(task, attempt, State::Succeeded, now) else { return };
    let claim = Outputs::Many(outputs).put(py, run, claim);
    let (node, at) = (instance.program().number(task.node), Moment { seat: via.seat(), time: now });
    run.body().tell(py, Kind::Completed, node, attempt, at, None);
    via.deliver(run, claim);
}

/// Ends an attempt that failed: retried if the policy says so and the run goes on, otherwise final. The frame, if there
/// still is one, goes before the successors may start.
pub(crate) fn fail(
    py: Python<'_>,
    run: &CoreRun,
    task: Task,
    attempt: u32,
    error: PyErr,
    frame: Option<Frame>,
    via: Via<'_, '_, '_>,
) {
    drop(frame);
    if task.instance.is_items() {
        return items::conclude(py, run, task, attempt, Outcome::Failed(error), None, via);
    }
    let body = run.body();
    if run.stopped() == Some(Stop::Cancellation) && python_errors::is_attempt_cancelled(py, &error) {
        return cancel(py, run, task, attempt, via);
    }
    if body.is_interrupt(py, &error) {
        body.interrupt(run, error.into_value(py));
        return cancel(py, run, task, attempt, via);
    }
    let error = error.into_value(py);
    let instance = run.instance(task.instance);
    let node = instance.program().number(task.node);
    let spec = instance.program().spec(task.node);
    let goes_on = run.goes_on(task);
    // How often a fallback is attempted is its own affair.
    let may_retry = (attempt < spec.max_attempts || spec.fallback.is_some()) && goes_on;
    let delay = if may_retry {
        body.hook(py, run, |hooks| hooks.call_method1(intern!(py, "retry_delay"), (node, attempt, &error)))
            .and_then(|delay| delay.extract::<Option<f64>>())
    } else {
        Ok(None)
    };
    let (delay, error) = match delay {
        Ok(delay) => (delay, error),
        // A policy that raises is the failure that the user must see.
        Err(fault) => (None, fault.into_value(py)),
    };
    match delay {
        Some(seconds) => {
            let message = note(py, run, "attempt_failed", node, attempt, &error, Some(seconds));
            body.tell(py, Kind::Retrying, node, attempt, Moment { seat: via.seat(), time: run.now() }, message);
            drop(error);
            let delay = Duration::try_from_secs_f64(seconds).ok();
            match via {
                Via::Step(step) => {
                    step.clock();
                    step.again(delay);
                }
                Via::Elsewhere => run.again(task, attempt, delay),
            }
        }
        None => {
            let mut via = match &spec.fallback {
                Some(_) if instance.status(task.node) == (State::Running, attempt) => {
                    match stand_in::fall_back(py, run, task, attempt, &error, goes_on, via) {
                        Some(via) => via,
                        None => return,
                    }
                }
                _ => via,
            };
            let now = via.clock(run);
            let Some(claim) = run.claim(task, attempt, State::Failed, now) else { return };
            let message = note(py, run, "failed", node, attempt, &error, None);
            drop(error);
            body.tell(py, Kind::Failed, node, attempt, Moment { seat: via.seat(), time: now }, message);
            via.deliver(run, claim);
        }
    }
}

/// Tells the hooks of a failure; what they answer is the payload of the event.
fn note(
    py: Python<'_>,
    run: &CoreRun,
    method: &str,
    node: u32,
    attempt: u32,
    error: &Py<pyo3::exceptions::PyBaseException>,
    delay: Option<f64>,
) -> Option<Py<PyAny>> {
    let keywords = PyDict::new(py);
    let told = match delay {
        Some(delay) => keywords.set_item("delay_seconds", delay),
        None => Ok(()),
    };
    let body = run.body();
    match told
        .and_then(|()| body.hook(py, run, |hooks| hooks.call_method(method, (node, attempt, error), Some(&keywords))))
    {
        Ok(message) => Some(message.unbind()),
        Err(fault) => {
            let hooks = body.hooks.bind(py);
            // Most likely at the limit of recursion, where only what needs no further frame is left to do.
            let unrecorded =
                hooks.getattr(intern!(py, "record")).and_then(|run| run.getattr(intern!(py, "unrecorded")));
            if unrecorded.and_then(|errors| errors.set_item(node, error)).is_err() {
                fault.write_unraisable(py, Some(hooks));
            }
            None
        }
    }
}

/// Ends an attempt because the run was cancelled.
pub(crate) fn cancel(py: Python<'_>, run: &CoreRun, task: Task, attempt: u32, mut via: Via<'_, '_, '_>) {
    if task.instance.is_items() {
        return items::conclude(py, run, task, attempt, Outcome::Cancelled, None, via);
    }
    let now = via.clock(run);
    if let Some(claim) = run.claim(task, attempt, State::Cancelled, now) {
        let (node, at) = (claim.instance().program().number(task.node), Moment { seat: via.seat(), time: now });
        run.body().tell(py, Kind::Cancelled, node, attempt, at, None);
        via.deliver(run, claim);
    }
}
