//! The worker's side of an operation with a time limit: it waits, and sees to it that the wait has an end (rule R11).

use std::sync::Arc;
use std::time::{Duration, Instant};

use dataflow_core::ready::Task;
use dataflow_core::run::{Step, Stop};
use pyo3::prelude::*;

use crate::body::{CoreRun, PythonBody, SIGNAL_SLICE};
use crate::companion::{self, Desk, Job, Outcome, Standing};
use crate::conclude::{self, Via};
use crate::convoy;
use crate::frame::Frame;
use crate::host::Host;
use crate::items;
use crate::kept::intern;
use crate::node_spec::NodeSpec;
use crate::python_errors;
use crate::stacks::{self, Target};

/// How often a worker that waits for its companion looks whether the run was cancelled.
const SLICE: Duration = Duration::from_millis(100);
/// An exception that the operation swallowed, or that was raised where nobody passes it on, is raised again after this.
const POST_AGAIN: Duration = Duration::from_millis(20);

/// What was interrupted has at least this long to stop, however short the grace is: a busy machine takes as long to come
/// to it.
const LEAST_GRACE: Duration = Duration::from_millis(50);

/// How an operation with a time limit ended.
pub(crate) enum Ended {
    /// By itself, with what it returned or raised, and its frame.
    Returned(Frame, PyResult<Py<PyAny>>),
    /// Its time was over: the error to report.
    TimedOut(PyErr),
    /// The run was cancelled, and the operation did not stop.
    LeftBehind,
}

/// Why an operation has to end, and since when that is known.
#[derive(Copy, Clone)]
enum Reason {
    Timeout(Instant),
    Cancellation(Instant),
}

/// Runs an attempt of a node on another thread, waits for it and concludes it.
#[cold]
pub(crate) fn run_node(
    py: Python<'_>,
    spec: &NodeSpec,
    limit: Duration,
    frame: Frame,
    step: &mut Step<'_, '_, PythonBody>,
    host: &Host,
) {
    let (task, attempt, run) = (step.task(), step.attempt(), step.run());
    match attend(py, run, frame, host, limit) {
        Ok(Ended::Returned(frame, returned)) => {
            let returned = returned.map(|value| value.into_bound(py));
            if let Err((error, step)) = conclude::commit(py, spec, &frame, returned, step) {
                conclude::fail(py, run, task, attempt, error, Some(frame), Via::Step(step));
            }
        }
        Ok(Ended::LeftBehind) => conclude::cancel(py, run, task, attempt, Via::Step(step)),
        Ok(Ended::TimedOut(error)) | Err(error) => {
            conclude::fail(py, run, task, attempt, error, None, Via::Step(step));
        }
    }
}

/// Runs an attempt on another thread and waits for it.
pub(crate) fn attend(
    py: Python<'_>,
    run: &Arc<CoreRun>,
    frame: Frame,
    host: &Host,
    limit: Duration,
) -> PyResult<Ended> {
    let (task, attempt) = (frame.task, frame.attempt);
    let desk = companion::hire(py, run, Box::new(Job { frame, run: run.clone(), took: Duration::ZERO }))?;
    let reason = wait(py, run, task, host, limit, &desk);
    let error = |cause, thread| timeout_error(py, run, task, attempt, limit, cause, thread);
    Ok(match (desk.end(py), reason) {
        (Outcome::Done(job, returned), reason) => {
            companion::release(desk);
            // However long this worker took to notice.
            let is_late = reason.is_none() && job.took > limit;
            if is_late || matches!(reason, Some(Reason::Timeout(_))) {
                let cause = returned.err();
                drop(job);
                Ended::TimedOut(error(cause, None))
            } else {
                Ended::Returned(job.frame, returned)
            }
        }
        (Outcome::SetAside(thread), Some(Reason::Cancellation(_))) => {
            left_behind(py, run, task, thread);
            Ended::LeftBehind
        }
        (Outcome::SetAside(thread), _) => Ended::TimedOut(error(None, Some(thread))),
    })
}

/// Waits until the operation has ended, or had to and did not; says why it had to.
fn wait(py: Python<'_>, run: &CoreRun, task: Task, host: &Host, limit: Duration, desk: &Desk) -> Option<Reason> {
    let ignores_stop = run.ignores_stop(task);
    let slice = if host.is_main { SIGNAL_SLICE } else { SLICE };
    let mut reason = None;
    let mut post_at = None;
    loop {
        let now = Instant::now();
        let began = match desk.standing() {
            Standing::Done => return reason,
            Standing::NotBegun => None,
            Standing::Runs { since } => Some(since),
        };
        let due = began.and_then(|began| began.checked_add(limit));
        let is_over = due.is_some_and(|due| due <= now);
        if reason.is_none() {
            if run.stopped() == Some(Stop::Cancellation) && !ignores_stop {
                reason = Some(Reason::Cancellation(now));
            } else if is_over {
                reason = Some(Reason::Timeout(now));
            }
        }
        // Who cancels a run gives its operations the grace; whose own time is over has had its time.
        let grace = run.body().grace();
        let interrupted_at = match reason {
            None => due,
            Some(Reason::Timeout(at)) => Some(at),
            Some(Reason::Cancellation(at)) => due.into_iter().chain(at.checked_add(grace)).min(),
        };
        let mut wake = now + slice;
        if let Some(at) = interrupted_at {
            if reason.is_some() && at <= now {
                let from = *post_at.get_or_insert(now);
                let given_up_at = at.checked_add(grace.max(LEAST_GRACE));
                if given_up_at.is_some_and(|at| at <= now) && began.is_some() {
                    return reason;
                }
                if from <= now {
                    post(py, desk, reason);
                    post_at = Some(now + POST_AGAIN);
                }
                wake = wake.min(given_up_at.unwrap_or(wake)).min(now + POST_AGAIN);
            } else {
                wake = wake.min(at);
            }
        }
        convoy::wait_detached(py, || desk.wait(wake));
        if host.is_main
            && let Err(error) = py.check_signals()
        {
            run.body().interrupt(run, error.into_value(py));
        }
    }
}

/// Raises an exception in the operation, or ends the run that it has begun and waits for.
fn post(py: Python<'_>, desk: &Desk, reason: Option<Reason>) {
    let own = match reason {
        Some(Reason::Cancellation(_)) => python_errors::cancelled_class(py),
        None | Some(Reason::Timeout(_)) => python_errors::timed_out_class(py),
    };
    // The modules that define them are there as soon as there are runs.
    let (Ok(own), Ok(outer)) = (own, python_errors::outer_class(py)) else { return };
    // Under the desk's lock: the frame is that of this operation, and stays on the companion's stack or leaves it there.
    let found = desk.with_running(|frame| stacks::post(&Target::Frame(frame), own, outer));
    if let Some(Err(fault)) = found.map(|found| found.interrupt_begun(py)) {
        fault.write_unraisable(py, None);
    }
}

/// The error that says that the time of an operation was over.
fn timeout_error(
    py: Python<'_>,
    run: &CoreRun,
    task: Task,
    attempt: u32,
    limit: Duration,
    cause: Option<PyErr>,
    thread: Option<u64>,
) -> PyErr {
    let (node, indices) = items::path(run, task);
    let cause = cause.map(|cause| cause.into_value(py));
    let made = run.body().hook(py, run, |hooks| {
        let arguments = (node, &indices, attempt, limit.as_secs_f64(), &cause, thread);
        hooks.call_method1(intern!(py, "timed_out"), arguments)
    });
    made.map_or_else(|fault| fault, PyErr::from_value)
}

/// Notes that an operation of a cancelled run was left to itself.
fn left_behind(py: Python<'_>, run: &CoreRun, task: Task, thread: u64) {
    let (node, indices) = items::path(run, task);
    let body = run.body();
    let noted = body.hook(py, run, |hooks| hooks.call_method1(intern!(py, "left_behind"), (node, &indices, thread)));
    if let Err(fault) = noted {
        fault.write_unraisable(py, Some(body.hooks.bind(py)));
    }
}
