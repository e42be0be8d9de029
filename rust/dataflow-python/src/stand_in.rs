//! What stands in for an operation that has failed: a value, or another operation that runs as one attempt more.

use dataflow_core::ready::Task;
use dataflow_core::run::{Step, Stop};
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::attempt::Attempt;
use crate::body::{CoreRun, PythonBody};
use crate::call;
use crate::conclude::{self, Via};
use crate::events::{Kind, Moment};
use crate::frame::{Frame, Values};
use crate::gather::gather_instead;
use crate::host::Host;
use crate::kept::intern;
use crate::missing::Missing;
use crate::node_spec::NodeSpec;
use crate::timed::{self, Ended};

/// What the event says, and the values if it is values that stand in.
type Answer = Option<(Py<PyAny>, Option<Py<PyTuple>>)>;

/// Falls back on what the operation declares for its failure; gives the way back when it stays failed.
///
/// A value is committed at once. An operation is the node's next attempt, which `attempt_starts` of the hooks finds.
pub(crate) fn fall_back<'a, 's, 'q>(
    py: Python<'_>,
    run: &CoreRun,
    task: Task,
    attempt: u32,
    error: &Py<PyBaseException>,
    goes_on: bool,
    via: Via<'a, 's, 'q>,
) -> Option<Via<'a, 's, 'q>> {
    if run.stopped() == Some(Stop::Cancellation) && !run.ignores_stop(task) {
        return Some(via);
    }
    let body = run.body();
    let node = run.instance(task.instance).program().number(task.node);
    let arguments = (node, attempt, error, goes_on);
    let answer = body.hook(py, run, |hooks| hooks.call_method1(intern!(py, "fall_back"), arguments));
    let answer = answer.and_then(|answer| answer.extract::<Answer>()).and_then(|answer| {
        let present = |(told, values): (_, Option<Py<PyTuple>>)| {
            Ok::<_, PyErr>((told, values.map(|values| present(py, values.bind(py))).transpose()?))
        };
        answer.map(present).transpose()
    });
    let (told, values) = match answer {
        Ok(Some(answer)) => answer,
        Ok(None) => return Some(via),
        Err(fault) => {
            fault.write_unraisable(py, Some(body.hooks.bind(py)));
            return Some(via);
        }
    };
    body.tell(py, Kind::FellBack, node, attempt, Moment { seat: via.seat(), time: run.now() }, Some(told));
    match (values, via) {
        (Some(values), via) => conclude::succeed(py, run, task, attempt, values, via),
        (None, Via::Step(step)) => {
            step.clock();
            step.again(None);
        }
        (None, Via::Elsewhere) => run.again(task, attempt, None),
    }
    None
}

/// The values of outputs, without those that stay unset.
fn present(py: Python<'_>, values: &Bound<'_, PyTuple>) -> PyResult<Values> {
    let missing = Missing::object(py)?;
    Ok(values.iter().map(|value| (!value.is(missing)).then(|| value.unbind())).collect())
}

/// Runs an attempt of the operation that stands in: `given` is what the hooks say of it.
#[cold]
pub(crate) fn run(py: Python<'_>, step: &mut Step<'_, '_, PythonBody>, host: &mut Host, given: &Bound<'_, PyAny>) {
    let (task, attempt, run) = (step.task(), step.attempt(), step.run());
    let fail = |error, frame, step| conclude::fail(py, run, task, attempt, error, frame, Via::Step(step));
    type Given<'py> = (Bound<'py, NodeSpec>, Bound<'py, PyAny>, Vec<i32>, Bound<'py, PyAny>);
    let (spec, operation, ports, error): Given<'_> = match given.extract() {
        Ok(given) => given,
        Err(error) => return fail(error, None, step),
    };
    // The spec and the operation belong to the fallback, and that to the spec of the node, which the program keeps.
    let spec = spec.get();
    let mut frame = Frame::new(run, spec, &operation, task, attempt);
    let ready = gather_instead(py, step.instance(), &mut frame, &ports, &error)
        .and_then(|()| host.renew_isolation(py, &run.body().base_context));
    drop(error);
    if let Err(error) = ready {
        return fail(error, Some(frame), step);
    }
    if spec.is_coroutine {
        if let Err(error) = Attempt::launch(py, run, frame) {
            fail(error, None, step);
        }
        return;
    }
    let returned = if let Some(limit) = spec.timeout {
        match timed::attend(py, run, frame, host, limit) {
            Ok(Ended::Returned(ended, returned)) => {
                frame = ended;
                returned.map(|value| value.into_bound(py))
            }
            Ok(Ended::LeftBehind) => return conclude::cancel(py, run, task, attempt, Via::Step(step)),
            Ok(Ended::TimedOut(error)) | Err(error) => return fail(error, None, step),
        }
    } else {
        let _passage = run.body().passage(spec, step.started());
        let _pushed = frame.push();
        call::call(py, spec, &frame, &run.body().context)
    };
    match returned.and_then(|value| conclude::outputs_of(py, &frame, value)) {
        Ok(outputs) => {
            drop(frame);
            conclude::succeed(py, run, task, attempt, outputs, Via::Step(step));
        }
        Err(error) => fail(error, Some(frame), step),
    }
}
