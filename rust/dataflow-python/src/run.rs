//! A run, as Python sees it.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dataflow_core::ids::{InstanceId, NodeId, SlotId};
use dataflow_core::ready::Task;
use dataflow_core::run::{FailurePolicy, Stop};
use dataflow_core::status::State;
use pyo3::exceptions::{PyBaseException, PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{PyTraverseError, PyVisit};

use crate::attempt::Attempt;
use crate::body::{CoreRun, PythonBody};
use crate::commits::Commits;
use crate::convoy::{Convoy, has_interpreter_lock};
use crate::events::{EventQueue, Moment};
use crate::expansion;
use crate::frame::Frame;
use crate::limits::{Limits, RunLimits};
use crate::missing::Missing;
use crate::nesting;
use crate::node_spec::{NodeSpec, Place};
use crate::plan::PyPlan;
use crate::python_errors;
use crate::retention::retained;
use crate::run_program::RunProgram;
use crate::stacks::{self, Target};
use crate::workers;

/// The limits of the engine, the groups of the kinds of operation that are limited, and the group of the others.
type GivenLimits = (Py<Limits>, Vec<(Py<NodeSpec>, u32)>, Option<u32>);

/// A node, the indices below it, items done, items in all.
type MapProgress = (u32, Vec<u32>, usize, i64);

/// One execution of a plan.
#[pyclass(name = "Run", weakref, module = "execution_dataflow._core")]
pub(crate) struct PyRun {
    /// Absent once the garbage collector has cleared the object.
    inner: Option<Arc<CoreRun>>,
    plan: Option<Py<PyPlan>>,
    started: AtomicBool,
    began_ns: u64,
    /// How many workers it may have.
    seats: usize,
    /// What is kept beyond what the user asked for, until it is clear that the run is not undone.
    lent: Mutex<Vec<SlotId>>,
}

impl PyRun {
    pub(crate) fn core(&self) -> PyResult<&Arc<CoreRun>> {
        self.inner.as_ref().ok_or_else(|| PyRuntimeError::new_err("this run was cleared by the garbage collector"))
    }

    fn node(&self, py: Python<'_>, node: u32) -> PyResult<NodeId> {
        match &self.plan {
            Some(plan) => plan.bind(py).get().node(node),
            None => Err(PyRuntimeError::new_err("this run was cleared by the garbage collector")),
        }
    }

    fn slot(&self, py: Python<'_>, node: u32, port: u32) -> PyResult<SlotId> {
        let node = self.node(py, node)?;
        let plan = self.core()?.root().plan();
        if port as usize >= plan.slots_of(node).len() {
            return Err(PyIndexError::new_err(format!("node {} has no output {port}", node.0)));
        }
        Ok(plan.slot(node, port))
    }

    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    fn start_once(&self) -> PyResult<&Arc<CoreRun>> {
        let core = self.core()?;
        if self.started.swap(true, Ordering::Relaxed) {
            return Err(PyRuntimeError::new_err("a run starts once; make another one to run the plan again"));
        }
        Ok(core)
    }
}

#[pymethods]
impl PyRun {
    #[new]
    #[pyo3(signature = (plan, context, record, hooks, base_context, fail_fast, max_workers, driven, retain, events=None,
        limits=None, executor=None, process_items=1, lent=None, grace_seconds=1.0, given=vec![], commits=None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        plan: Bound<'_, PyPlan>,
        context: Py<PyAny>,
        record: Py<PyAny>,
        hooks: Py<PyAny>,
        base_context: Py<PyAny>,
        fail_fast: bool,
        max_workers: usize,
        driven: bool,
        retain: &Bound<'_, PyAny>,
        events: Option<Py<EventQueue>>,
        limits: Option<GivenLimits>,
        executor: Option<&str>,
        process_items: usize,
        lent: Option<Vec<u32>>,
        grace_seconds: f64,
        given: Vec<Py<PyAny>>,
        commits: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        nesting::check_room()?;
        let elsewhere = match executor {
            None | Some("thread" | "inline") => Place::Process,
            Some("process") => Place::Unnamed,
            Some(other) => return Err(PyValueError::new_err(format!("{other:?} is no executor of a run"))),
        };
        if !(1..=workers::MAX_WORKERS).contains(&max_workers) {
            return Err(PyValueError::new_err(format!(
                "max_workers is from 1 to {}, not {max_workers}",
                workers::MAX_WORKERS
            )));
        }
        let has_limits = limits.is_some();
        let body = PythonBody {
            context,
            record,
            hooks,
            base_context,
            events,
            commits: commits.map(Commits::new),
            events_sent: AtomicU64::new(0),
            raised: Mutex::new(None),
            lost: AtomicBool::new(false),
            typical: AtomicU32::new(0),
            limits: limits.map(|(limits, groups, others)| RunLimits::new(limits, &groups, others, &plan.get().plan)),
            convoy: (max_workers > 1 && has_interpreter_lock(plan.py()))
                .then(|| Convoy::new(plan.get().program.expects_long())),
            elsewhere,
            process_items: process_items.max(1),
            grace: AtomicU64::new(nanoseconds(grace_seconds)),
        };
        let policy = if fail_fast { FailurePolicy::FailFast } else { FailurePolicy::Continue };
        let shared = plan.get();
        // More workers than nodes find nothing to do.
        // What a node expands into is known when it runs.
        let useful = if shared.program.may_expand() { usize::MAX } else { shared.plan.node_count().max(1) };
        let max_workers = max_workers.min(useful);
        let keeps = retained(shared, retain)?;
        let mut lent: Vec<SlotId> = lent.into_iter().flatten().map(SlotId).filter(|&slot| !keeps(slot)).collect();
        lent.sort_unstable();
        lent.dedup();
        if lent.last().is_some_and(|slot| slot.index() >= shared.plan.slot_count()) {
            return Err(PyIndexError::new_err("there is no such slot"));
        }
        let core = CoreRun::new(
            body,
            workers::pool(),
            shared.plan.clone(),
            RunProgram::new(shared.program.clone(), given)?,
            policy,
            max_workers,
            driven,
            |slot| keeps(slot) || lent.binary_search(&slot).is_ok(),
        );
        let core = if has_limits { core.with_limits() } else { core };
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_ns = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self {
            inner: Some(Arc::new(core)),
            plan: Some(plan.unbind()),
            started: AtomicBool::new(false),
            began_ns,
            seats: max_workers,
            lent: Mutex::new(lent),
        })
    }

    /// Lets go of what was kept for an undoing of the run alone; every operation has its outcome.
    fn release_lent(&self, py: Python<'_>) -> PyResult<()> {
        let root = self.core()?.root();
        if !root.has_all_outcomes() {
            return Err(PyRuntimeError::new_err("what is lent is released when every operation has its outcome"));
        }
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: every operation has delivered; each of these shares is this object's, taken from the list once, under
        // the lock that who reads a value holds.
        let values: Vec<_> = lent.drain(..).filter_map(|slot| unsafe { root.slots().release(slot) }).collect();
        drop(lent);
        values.into_iter().for_each(|value| drop(value.into_bound(py)));
        Ok(())
    }

    /// Has more kinds of operation ask for what is limited: those of an expansion. Their specs live as long as the run.
    fn limit(&self, groups: Vec<(Py<NodeSpec>, u32)>) -> PyResult<()> {
        if let Some(limits) = &self.core()?.body().limits {
            limits.add_groups(&groups);
        }
        Ok(())
    }

    /// Begins to revert an operation that has succeeded in a run that has finished.
    fn begin_revert<'py>(
        &self,
        py: Python<'py>,
        node: u32,
        spec: &Bound<'py, NodeSpec>,
        operation: &Bound<'py, PyAny>,
        inputs: Vec<i32>,
        error: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Attempt>> {
        let (core, node) = (self.core()?, self.node(py, node)?);
        if !core.is_finished() || core.body().is_lost() {
            return Err(PyRuntimeError::new_err("a run is undone when it has finished"));
        }
        let known = core.root().plan().input_flags(node).len() as i32;
        if inputs.len() != spec.get().input_flags.len() || inputs.iter().any(|&input| input >= known) {
            return Err(PyIndexError::new_err("there is no such input"));
        }
        let task = Task { instance: InstanceId::ROOT, node };
        Attempt::of_revert(py, core, task, spec, operation, &inputs, error)
    }

    /// Puts an event of a kind that only Python knows.
    #[pyo3(signature = (kind, node, payload=None))]
    fn tell(&self, py: Python<'_>, kind: u8, node: u32, payload: Option<Py<PyAny>>) -> PyResult<()> {
        let core = self.core()?;
        core.body().tell_of(py, kind, node, 0, Moment::elsewhere(core.now()), payload);
        Ok(())
    }

    /// Runs on the calling thread and returns when every node has an outcome; `false` if something from outside of its
    /// operations ended it: `raised` or `lost` say what.
    fn drive(&self, py: Python<'_>) -> PyResult<bool> {
        let begun = stacks::begun_here(py, self.core()?)?;
        let _pushed = begun.as_ref().map(Frame::push);
        let core = self.start_once()?;
        let (body, mut host) = (core.body(), workers::host_of_this_thread());
        host.native_threads.follow(body.hooks.bind(py));
        workers::pool().drive(core, &mut host);
        host.native_threads.released(body.hooks.bind(py));
        Ok(!body.is_lost() && body.raised.lock().unwrap_or_else(PoisonError::into_inner).is_none())
    }

    /// Hands the run to the pool's threads.
    fn submit(&self) -> PyResult<()> {
        let core = self.start_once()?;
        workers::pool().submit(core);
        Ok(())
    }

    /// Works on a submitted run until it has finished: for an operation that waits for it on a worker thread.
    fn help(&self, py: Python<'_>) -> PyResult<()> {
        let (core, mut host) = (self.core()?, workers::host_of_this_thread());
        let begun = stacks::begun_here(py, core)?;
        let _pushed = begun.as_ref().map(Frame::push);
        workers::pool().help(core, &mut host);
        host.native_threads.released(core.body().hooks.bind(py));
        Ok(())
    }

    /// Waits for the end; `False` when `timeout` seconds are over first.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let core = self.core()?;
        // A timeout too long for the clock is none.
        let deadline = match timeout {
            None => None,
            Some(seconds) => {
                let timeout = Duration::try_from_secs_f64(seconds.max(0.0));
                timeout.ok().and_then(|timeout| Instant::now().checked_add(timeout))
            }
        };
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let slice = left.unwrap_or(Duration::MAX).min(Duration::from_millis(50));
            if core.is_finished() || py.detach(|| core.wait(Some(slice))) {
                return Ok(true);
            }
            py.check_signals()?;
            if let Some(error) = stacks::take_posted(py) {
                return Err(error);
            }
            if core.body().is_lost() || left == Some(Duration::ZERO) {
                return Ok(false);
            }
        }
    }

    /// Lets nothing new start. Attempts that run go on to their end.
    fn stop(&self) -> PyResult<()> {
        self.core()?.stop(Stop::Cancellation);
        Ok(())
    }

    /// Raises an exception in what runs of its operations, on whatever threads; gives how many threads that are.
    fn interrupt_operations(&self, py: Python<'_>) -> PyResult<usize> {
        let core = self.core()?;
        let (own, outer) = (python_errors::cancelled_class(py)?, python_errors::outer_class(py)?);
        let found = stacks::post(&Target::Run(Arc::as_ptr(core)), own, outer);
        let threads = found.threads;
        found.interrupt_begun(py)?;
        Ok(threads)
    }

    /// How long what has to stop may take to do so before the next step is taken.
    #[getter]
    fn grace_seconds(&self) -> PyResult<f64> {
        Ok(self.core()?.body().grace().as_secs_f64())
    }

    #[setter]
    fn set_grace_seconds(&self, seconds: f64) -> PyResult<()> {
        self.core()?.body().grace.store(nanoseconds(seconds), Ordering::Relaxed);
        Ok(())
    }

    /// Ends the run from outside with an exception.
    fn interrupt(&self, error: Bound<'_, PyBaseException>) -> PyResult<()> {
        let core = self.core()?;
        core.body().interrupt(core, error.unbind());
        Ok(())
    }

    /// Marks the run as lost: this process is a fork of the one that ran it.
    fn lose(&self) -> PyResult<()> {
        let core = self.core()?;
        core.body().lost.store(true, Ordering::Relaxed);
        core.abandon();
        Ok(())
    }

    /// Whether it was ever started.
    #[getter]
    fn started(&self) -> bool {
        self.has_started()
    }

    /// Whether the run was lost in a fork.
    #[getter]
    fn lost(&self) -> PyResult<bool> {
        Ok(self.core()?.body().is_lost())
    }

    /// The exception that ended the run from outside of its operations.
    #[getter]
    fn raised(&self, py: Python<'_>) -> PyResult<Option<Py<PyBaseException>>> {
        let raised =
            self.core()?.body().raised.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|e| e.clone_ref(py));
        Ok(raised)
    }

    #[getter]
    fn finished(&self) -> PyResult<bool> {
        Ok(self.core()?.is_finished())
    }

    /// Whether a cancellation stopped it.
    #[getter]
    fn cancelled(&self) -> PyResult<bool> {
        Ok(self.core()?.stopped() == Some(Stop::Cancellation))
    }

    /// Whether a node is in one of these states, which are the bits of a number.
    fn has_node_in(&self, states: u32) -> PyResult<bool> {
        let root = self.core()?.root();
        Ok((0..root.plan().node_count() as u32).any(|node| states & (1 << root.status(NodeId(node)).0 as u32) != 0))
    }

    /// How many workers it may have.
    #[getter]
    fn seats(&self) -> usize {
        self.seats
    }

    /// When it began, in nanoseconds of the Unix epoch.
    #[getter]
    fn began_ns(&self) -> u64 {
        self.began_ns
    }

    /// Nanoseconds since it began.
    #[getter]
    fn elapsed_ns(&self) -> PyResult<u64> {
        Ok(self.core()?.now())
    }

    /// How many event records the run has put so far.
    #[getter]
    fn events_sent(&self) -> PyResult<u64> {
        Ok(self.core()?.body().events_sent.load(Ordering::Relaxed))
    }

    /// Number of nodes without an outcome.
    #[getter]
    fn remaining(&self) -> PyResult<usize> {
        Ok(self.core()?.remaining())
    }

    fn state(&self, node: u32) -> PyResult<u8> {
        let (instance, node) = expansion::place(self.core()?, node)?;
        Ok(instance.status(node).0 as u8)
    }

    /// For each map that has begun: its node, the indices of the item that it is (none for a node), how many items are
    /// done, and how many there are, -1 while that is not known.
    fn maps(&self) -> PyResult<Vec<MapProgress>> {
        let core = self.core()?;
        let report = |items: &dataflow_core::items::Items<PythonBody>| {
            let (node, indices) = crate::items::path(core, items.parent().0);
            (node, indices, items.done(), items.len().map_or(-1, |len| len as i64))
        };
        Ok(core.all_items().map(report).collect())
    }

    fn attempts(&self, node: u32) -> PyResult<u32> {
        let (instance, node) = expansion::place(self.core()?, node)?;
        Ok(instance.status(node).1)
    }

    fn states<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let root = self.core()?.root();
        let states: Vec<u8> = (0..root.plan().node_count() as u32).map(|n| root.status(NodeId(n)).0 as u8).collect();
        Ok(PyBytes::new(py, &states))
    }

    /// (queued, started, ended) in nanoseconds since the run began, and the worker, -1 when it never ran.
    fn timing(&self, node: u32) -> PyResult<(u64, u64, u64, i64)> {
        let (instance, node) = expansion::place(self.core()?, node)?;
        let timing = instance.timing(node);
        let worker = if timing.worker == dataflow_core::instance::NO_WORKER { -1 } else { i64::from(timing.worker) };
        Ok((timing.queued, timing.started, timing.ended, worker))
    }

    fn value(&self, py: Python<'_>, node: u32, port: u32) -> PyResult<Py<PyAny>> {
        let core = self.core()?;
        let slot = self.slot(py, node, port)?;
        if !core.root().has_all_outcomes() || core.body().is_lost() {
            return Err(PyRuntimeError::new_err("values are there when the run has finished"));
        }
        let _lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: every operation has delivered. `release_lent` takes values under the lock that is held here; otherwise
        // only `__clear__` takes any, when nobody can call this any more.
        match unsafe { core.root().value(slot) } {
            Some(value) => Ok(value.clone_ref(py)),
            None => Ok(Missing::object(py)?.clone().into_any().unbind()),
        }
    }

    fn kept(&self, py: Python<'_>, node: u32, port: u32) -> PyResult<bool> {
        let slot = self.slot(py, node, port)?;
        Ok(self.core()?.root().slots().is_kept(slot))
    }

    /// The failed operation to blame for an UPSTREAM_FAILED one, or -1.
    fn blame(&self, node: u32) -> PyResult<i64> {
        let (instance, node) = expansion::place(self.core()?, node)?;
        let is_upstream = instance.status(node).0 == State::UpstreamFailed;
        let blamed = instance.blame(node).filter(|_| is_upstream);
        Ok(blamed.map_or(-1, |node| i64::from(instance.program().number(node))))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.plan)?;
        let Some(core) = &self.inner else { return Ok(()) };
        // While workers or attempts share the run, its references are not this object's alone.
        if Arc::strong_count(core) > 1 || !core.is_finished() || core.body().is_lost() {
            return Ok(());
        }
        let body = core.body();
        visit.call(&body.context)?;
        visit.call(&body.record)?;
        visit.call(&body.hooks)?;
        visit.call(&body.base_context)?;
        visit.call(&body.events)?;
        body.commits.as_ref().map_or(Ok(()), |commits| commits.traverse(&visit))?;
        for instance in core.instances() {
            instance.program().traverse(&visit)?;
            // SAFETY: the run is finished and nobody else has it.
            for value in unsafe { instance.slots().iter() } {
                visit.call(value)?;
            }
        }
        Ok(())
    }

    fn __clear__(&mut self) {
        let (core, plan) = (self.inner.take(), self.plan.take());
        drop((core, plan));
    }
}

/// A time that is too long for the clock is the longest that there is.
fn nanoseconds(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds.max(0.0))
        .map_or(u64::MAX, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
