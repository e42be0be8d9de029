//! The body that runs nodes in Python: gathers inputs, calls, checks, commits.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dataflow_core::body::Body;
use dataflow_core::ids::NodeId;
use dataflow_core::instance::Instance;
use dataflow_core::items::{ItemEnd, Items};
use dataflow_core::pool::SHORT_NANOSECONDS;
use dataflow_core::ready::Task;
use dataflow_core::run::{Run, Step, Stop};
use dataflow_core::status::State;
use pyo3::exceptions::{PyBaseException, PyKeyboardInterrupt, PySystemError, PySystemExit};
use pyo3::prelude::*;

use crate::attempt::Attempt;
use crate::call;
use crate::commits::Commits;
use crate::conclude::{self, Via};
use crate::convoy::{self, Convoy, Courtesy, Passage};
use crate::events::{EventQueue, Kind, Moment, Record};
use crate::expansion;
use crate::frame::Frame;
use crate::gate;
use crate::gather::gather;
use crate::host::Host;
use crate::items;
use crate::kept::intern;
use crate::limits::RunLimits;
use crate::map_content::{Element, MapRun};
use crate::native_threads::OfThread;
use crate::node_spec::{Expands, NodeSpec, Place};
use crate::python_errors;
use crate::remote::RemoteAttempt;
use crate::run_program::RunProgram;
use crate::stand_in;
use crate::timed;

pub(crate) type CoreRun = Run<PythonBody>;

/// What one run needs of Python.
pub(crate) struct PythonBody {
    pub(crate) context: Py<PyAny>,
    /// The Python `RunRecord`.
    pub(crate) record: Py<PyAny>,
    /// The engine's part for what is rare: failures, coroutines.
    pub(crate) hooks: Py<PyAny>,
    /// The caller's `contextvars.Context`, copied for each attempt.
    pub(crate) base_context: Py<PyAny>,
    pub(crate) events: Option<Py<EventQueue>>,
    /// Present where somebody keeps what succeeds.
    pub(crate) commits: Option<Commits>,
    /// How many records were put; what was not delivered of them was dropped.
    pub(crate) events_sent: AtomicU64,
    /// What ends the run from outside of its operations: the exception of a signal handler, or of an operation that
    /// raised `KeyboardInterrupt`.
    pub(crate) raised: Mutex<Option<Py<PyBaseException>>>,
    /// Set in the child of a fork: this process has lost the run.
    pub(crate) lost: AtomicBool,
    /// How long the last attempt took, in nanoseconds: what to expect of an operation that never ran. 0 before the first.
    pub(crate) typical: AtomicU32,
    /// Present where starts have to be admitted.
    pub(crate) limits: Option<RunLimits>,
    /// Present where workers stand in line for the interpreter: several of them, and a lock.
    pub(crate) convoy: Option<Convoy>,
    /// The first place of those where attempts outlive the call that starts them.
    pub(crate) elsewhere: Place,
    /// How many items of one map may be under way in worker processes: enough to keep them busy, few enough to hold.
    pub(crate) process_items: usize,
    /// How long what has to stop may take to do so before the next step is taken, in nanoseconds. Relaxed: who reads an
    /// old value reads again.
    pub(crate) grace: AtomicU64,
}

/// An operation that takes longer than this is worth the waking of another worker for what else there is to do.
pub(crate) const LONG_NANOSECONDS: u32 = SHORT_NANOSECONDS as u32;

/// When the first operation of a run would have ended if it were short, waking included: sooner than who watches looks.
const FIRST_NANOSECONDS: u64 = 100_000;

/// Calls to builtins never reach the interpreter's own eval breaker; CPython's switch interval is 5 ms.
const YIELD_NANOSECONDS: u64 = 5_000_000;
/// How often a hook is begun that signal handlers interrupt; a hook that raises the same each time must come to an end.
const HOOK_TRIES: usize = 5;
/// The longest that the main thread sleeps before it looks for signals (rule R9 allows 0.2 s in all).
pub(crate) const SIGNAL_SLICE: Duration = Duration::from_millis(50);

/// The token of a thread that runs the body.
///
/// # Safety
/// To be called only from the body's methods: workers are attached whenever the scheduler calls them.
unsafe fn attached<'py>() -> Python<'py> {
    // SAFETY: as above; `blocking` is the one place that detaches, and it attaches again before it returns.
    unsafe { Python::assume_attached() }
}

impl PythonBody {
    pub(crate) fn tell(
        &self,
        py: Python<'_>,
        kind: Kind,
        node: u32,
        attempt: u32,
        at: Moment,
        payload: Option<Py<PyAny>>,
    ) {
        self.tell_of(py, kind as u8, node, attempt, at, payload);
    }

    /// As `tell`, of what only Python knows the kind of.
    pub(crate) fn tell_of(
        &self,
        py: Python<'_>,
        kind: u8,
        node: u32,
        attempt: u32,
        at: Moment,
        payload: Option<Py<PyAny>>,
    ) {
        if let Some(events) = &self.events {
            let (run, Moment { seat, time }) = (self.record.clone_ref(py), at);
            self.events_sent.fetch_add(1, Ordering::Relaxed);
            events.get().push(Record { kind, run, node, attempt, worker: seat, time, payload });
        }
    }

    /// Keeps the first exception that ends the run from outside and stops it.
    pub(crate) fn interrupt(&self, run: &CoreRun, error: Py<PyBaseException>) {
        self.keep(error);
        run.stop(Stop::Cancellation);
        // SAFETY: called by workers and by methods of Python classes, attached.
        let py = unsafe { attached() };
        let hooks = self.hooks.bind(py);
        for _ in 0..HOOK_TRIES {
            match hooks.call_method0(intern!(py, "stop_pending")) {
                Err(error) if self.is_interrupt(py, &error) => self.keep(error.into_value(py)),
                outcome => {
                    if let Err(error) = outcome {
                        error.write_unraisable(py, Some(hooks));
                    }
                    return;
                }
            }
        }
    }

    fn keep(&self, error: Py<PyBaseException>) {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = if raised.is_none() { raised.replace(error) } else { Some(error) };
        drop(raised);
        drop(unused);
    }

    /// Calls a hook, each of which may be called again. On the main thread a signal handler may raise in the middle of
    /// one: that ends the run, as anywhere else, and the hook still has its work to do.
    pub(crate) fn hook<'py>(
        &self,
        py: Python<'py>,
        run: &CoreRun,
        call: impl Fn(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let hooks = self.hooks.bind(py);
        for _ in 1..HOOK_TRIES {
            match call(hooks) {
                Err(error) if self.is_interrupt(py, &error) => self.interrupt(run, error.into_value(py)),
                outcome => return outcome,
            }
        }
        call(hooks)
    }

    /// Starts an attempt that ends elsewhere: on an event loop, or in a worker process.
    pub(crate) fn launch(&self, py: Python<'_>, run: &Arc<CoreRun>, frame: Frame) -> PyResult<()> {
        match frame.spec().place {
            Place::Loop => Attempt::launch(py, run, frame),
            Place::Here | Place::Unnamed | Place::Process => RemoteAttempt::launch(py, run, frame),
        }
    }

    /// Whether an operation, or the items of a map, run in another process.
    #[inline]
    pub(crate) fn goes_to_process(&self, spec: &NodeSpec) -> bool {
        spec.place >= self.elsewhere && spec.place != Place::Loop
    }

    /// Tells the other workers of an operation that takes long.
    #[inline]
    pub(crate) fn passage(&self, spec: &NodeSpec, now: u64) -> Option<Passage<'_>> {
        let convoy = self.convoy.as_ref()?;
        let takes_long = spec.duration.longest() > LONG_NANOSECONDS;
        takes_long.then(|| convoy.enter(now + u64::from(spec.duration.shortest())))
    }

    #[inline]
    fn run_attempt(&self, py: Python<'_>, step: &mut Step<'_, '_, Self>, host: &mut Host) {
        let (task, attempt, run) = (step.task(), step.attempt(), step.run());
        let instance = step.instance();
        let program = instance.program();
        let spec = program.spec(task.node);
        // What another process runs begins there, and a map here.
        let begins_here = || !self.goes_to_process(spec);
        if self.events.is_some() && begins_here() {
            let began = instance.timing(task.node).started;
            let at = Moment { seat: step.seat() as u32, time: began };
            self.tell(py, Kind::Started, program.number(task.node), attempt, at, None);
        }
        if attempt > 1 {
            // The exception of the attempt before becomes text: its frames pin arrays.
            let hook = if begins_here() { intern!(py, "attempt_starts") } else { intern!(py, "attempt_is_sent") };
            match self.hooks.bind(py).call_method1(hook, (program.number(task.node), attempt)) {
                Ok(stand_in) if stand_in.is_none() => {}
                Ok(stand_in) => return stand_in::run(py, step, host, &stand_in),
                Err(error) => return conclude::fail(py, run, task, attempt, error, None, Via::Step(step)),
            }
        }
        let mut frame = Frame::new(run, spec, program.operation(py, task.node), task, attempt);
        if let Err(error) =
            gather(py, self, instance, &mut frame).and_then(|()| host.renew_isolation(py, &self.base_context))
        {
            return conclude::fail(py, run, task, attempt, error, Some(frame), Via::Step(step));
        }
        if spec.expands != Expands::Nothing {
            return expansion::expand(py, step, frame, host);
        }
        if spec.place >= self.elsewhere {
            if let Err(error) = self.launch(py, run, frame) {
                conclude::fail(py, run, task, attempt, error, None, Via::Step(step));
            }
            return;
        }
        let passage = self.passage(spec, step.started());
        if let Some(limit) = spec.timeout {
            return timed::run_node(py, spec, limit, frame, step, host);
        }
        let returned = {
            let _pushed = frame.push();
            call::call(py, spec, &frame, &self.context)
        };
        drop(passage);
        if let Err((error, step)) = conclude::commit(py, spec, &frame, returned, step) {
            conclude::fail(py, run, task, attempt, error, Some(frame), Via::Step(step));
        }
    }
}

pub(crate) fn internal_error(panic: &(dyn std::any::Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    PySystemError::new_err(format!("internal error of the engine: {}; please report it", text.unwrap_or("panic")))
}

impl Body for PythonBody {
    type Value = Py<PyAny>;
    type Program = RunProgram;
    type Items = MapRun;
    type Element = Element;
    type Host = Host;

    const SPREADS: bool = cfg!(Py_GIL_DISABLED);

    #[inline]
    fn execute(&self, step: &mut Step<'_, '_, Self>, host: &mut Host) {
        // SAFETY: workers are attached when they execute.
        let py = unsafe { attached() };
        let (task, attempt, run) = (step.task(), step.attempt(), step.run());
        let caught = catch_unwind(AssertUnwindSafe(|| self.run_attempt(py, step, host)));
        if let Err(panic) = caught {
            conclude::fail(py, run, task, attempt, internal_error(&*panic), None, Via::Step(step));
        }
    }

    #[inline]
    fn is_long(&self, instance: &Instance<Self>, node: NodeId, now: u64) -> bool {
        let expected = match instance.program().spec(node).duration.longest() {
            0 => self.typical.load(Ordering::Relaxed),
            expected => expected,
        };
        match expected {
            // Of the very first operation nothing is known; that none has ended by now says that they take long.
            0 => Self::SPREADS || now > FIRST_NANOSECONDS,
            expected => expected > LONG_NANOSECONDS,
        }
    }

    fn admits(&self, run: &Arc<CoreRun>, task: Task) -> bool {
        // SAFETY: asked by workers, which are attached.
        let py = unsafe { attached() };
        self.limits.as_ref().is_none_or(|limits| limits.admits(py, run, task))
    }

    fn left(&self, run: &CoreRun, task: Task) {
        if let Some(limits) = &self.limits {
            limits.left(run, task);
        }
    }

    fn stopped(&self, run: &CoreRun) {
        if let Some(limits) = &self.limits {
            limits.stopped(run);
        }
    }

    fn idles(&self, run: &CoreRun) {
        if let Some(limits) = &self.limits {
            limits.idles(run);
        }
    }

    fn looks_again(&self, _run: &CoreRun) {
        if let Some(limits) = &self.limits {
            limits.looks_again();
        }
    }

    #[inline]
    fn discard(&self, value: Py<PyAny>) {
        // SAFETY: outcomes are delivered by attached threads only.
        let value = value.into_bound(unsafe { attached() });
        if let Some(limits) = &self.limits {
            limits.value_leaves(&value);
        }
        drop(value);
    }

    fn rests(&self, host: &mut Host) {
        // SAFETY: workers are attached when they look for work.
        let py = unsafe { attached() };
        // The next run that this worker joins has a clock of its own.
        host.courtesy = Courtesy::new();
        if let Err(error) = host.leave_isolation(py) {
            error.write_unraisable(py, Some(self.hooks.bind(py)));
        }
    }

    fn settled(&self, run: &CoreRun, task: Task, state: State) {
        // SAFETY: outcomes are delivered by attached threads only.
        let py = unsafe { attached() };
        let instance = run.instance(task.instance);
        let (attempt, node) = (instance.status(task.node).1, instance.program().number(task.node));
        let (kind, payload) = match state {
            State::Failed => {
                let message =
                    self.hook(py, run, |hooks| hooks.call_method1(intern!(py, "waiting_failed"), (node, attempt)));
                (Kind::Failed, message.map(Bound::unbind).ok())
            }
            State::UpstreamFailed => {
                let blame = instance.blame(task.node).map(|node| instance.program().number(node));
                (
                    Kind::UpstreamFailed,
                    blame.and_then(|node| node.into_pyobject(py).ok()).map(|node| node.into_any().unbind()),
                )
            }
            State::Skipped => self.note_skip(py, run, task),
            State::Cancelled => (Kind::Cancelled, None),
            State::Pending | State::Ready | State::Running | State::Retrying | State::Succeeded | State::Restored => {
                return;
            }
        };
        self.tell(py, kind, node, attempt, Moment::elsewhere(run.now()), payload);
    }

    fn expanded(&self, step: &mut Step<'_, '_, Self>, child: &Instance<Self>, host: &mut Host) {
        // SAFETY: workers are attached when they take a task.
        expansion::ended(unsafe { attached() }, step, child, host);
    }

    #[inline]
    fn run_item(
        &self,
        step: &mut Step<'_, '_, Self>,
        items: &Items<Self>,
        element: Option<Element>,
        host: &mut Host,
    ) -> ItemEnd<Element> {
        // SAFETY: workers are attached when they run items.
        let py = unsafe { attached() };
        let (task, attempt, run) = (step.task(), step.attempt(), step.run());
        let caught = catch_unwind(AssertUnwindSafe(|| self.run_item_attempt(py, step, items, element, host)));
        caught.unwrap_or_else(|panic| items::panicked(py, run, items, task, attempt, internal_error(&*panic)))
    }

    fn pull(&self, run: &CoreRun, items: &Items<Self>, host: &mut Host) -> Option<Element> {
        // SAFETY: workers are attached when they pull.
        self.pull_element(unsafe { attached() }, run, items, host)
    }

    #[inline]
    fn items_are_long(&self, items: &Items<Self>) -> bool {
        self.are_long(items)
    }

    fn items_took(&self, items: &Items<Self>, nanoseconds: u64, count: u64) {
        self.note_items(items, nanoseconds, count);
    }

    fn item_abandoned(&self, run: &CoreRun, items: &Items<Self>, task: Task, attempt: u32) {
        // SAFETY: whoever stops a run or closes a map is attached.
        self.abandon_item(unsafe { attached() }, run, items, task, attempt);
    }

    fn items_ended(&self, run: &CoreRun, items: &Items<Self>, step: Option<&mut Step<'_, '_, Self>>) {
        // SAFETY: outcomes are delivered by attached threads only.
        self.end_map(unsafe { attached() }, run, items, step);
    }

    fn finished(&self, run: &CoreRun) {
        // SAFETY: the last outcome is delivered by an attached thread.
        let py = unsafe { attached() };
        if let Some(limits) = &self.limits {
            limits.run_ends(py, run);
        }
        let state = match self.hook(py, run, |hooks| gate::method(hooks, intern!(py, "run_ends"), &[])) {
            // The run is to be undone, and whoever does that says when it is complete.
            Ok(state) if state.is_none() => return,
            Ok(state) => Some(state.unbind()),
            Err(error) => {
                error.write_unraisable(py, Some(self.hooks.bind(py)));
                None
            }
        };
        self.tell(py, Kind::GraphCompleted, 0, 0, Moment::elsewhere(run.now()), state);
    }

    fn joins(&self, seat: usize, host: &mut Host) {
        // SAFETY: workers are attached when they begin to work.
        let py = unsafe { attached() };
        host.native_threads.joins(self.hooks.bind(py), seat);
    }

    fn leaves(&self, _host: &mut Host) {
        OfThread::leaves();
    }

    #[inline]
    fn between(&self, run: &CoreRun, host: &mut Host, now: u64) -> u64 {
        if let Some(convoy) = &self.convoy
            && convoy.is_due(&host.courtesy, now)
        {
            // SAFETY: workers are attached between nodes.
            convoy.give_way(unsafe { attached() }, &mut host.courtesy, now);
            return run.now();
        }
        if now.wrapping_sub(host.last_yield) < YIELD_NANOSECONDS { now } else { self.pause(run, host, now) }
    }

    fn blocking<R: Send>(_host: &mut Host, wait: impl FnOnce() -> R + Send) -> R {
        // SAFETY: workers are attached when they begin to wait.
        convoy::wait_detached(unsafe { attached() }, wait)
    }

    fn longest_wait(&self, host: &Host) -> Option<Duration> {
        host.is_main.then_some(SIGNAL_SLICE)
    }
}

impl PythonBody {
    /// Lets others have the interpreter, and looks for signals.
    #[cold]
    fn pause(&self, run: &CoreRun, host: &mut Host, now: u64) -> u64 {
        host.last_yield = now;
        // SAFETY: workers are attached between nodes.
        let py = unsafe { attached() };
        py.detach(|| ());
        host.native_threads.follow(self.hooks.bind(py));
        if host.is_main
            && let Err(error) = py.check_signals()
        {
            self.interrupt(run, error.into_value(py));
        }
        run.now()
    }

    /// Whether the error ends the run instead of the operation: Ctrl-C, a signal handler that ends the program, or the
    /// interruption of the operation that has begun this run.
    pub(crate) fn is_interrupt(&self, py: Python<'_>, error: &PyErr) -> bool {
        if error.is_instance_of::<PyKeyboardInterrupt>(py) || python_errors::is_of_outer(py, error) {
            return true;
        }
        error.is_instance_of::<PySystemExit>(py)
            && self
                .hooks
                .bind(py)
                .call_method1(intern!(py, "is_of_signal_handler"), (error.clone_ref(py).into_value(py),))
                .and_then(|answer| answer.is_truthy())
                .unwrap_or(false)
    }

    pub(crate) fn grace(&self) -> Duration {
        Duration::from_nanos(self.grace.load(Ordering::Relaxed))
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}
