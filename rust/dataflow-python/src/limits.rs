//! What the runs of an engine share in limited amounts: the core's ledger, with tasks of runs as those that wait.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use dataflow_core::ids::NodeId;
use dataflow_core::instance::Instance;
use dataflow_core::ledger::{Demand, Grants, Ledger, Request, Ticket, Verdict};
use dataflow_core::plan::{Plan, SourceKind};
use dataflow_core::ready::Task;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::body::{CoreRun, PythonBody};
use crate::kept::intern;
use crate::node_spec::{Expands, NodeSpec};
use crate::value_sizes::{self, ValueSizes};

/// A task that waits to be admitted.
type Waiting = (Arc<CoreRun>, Task);

/// The limits of an engine.
#[pyclass(frozen, module = "execution_dataflow._core")]
pub(crate) struct Limits {
    ledger: Ledger<Waiting>,
    /// Where its clock begins: runs have clocks of their own.
    epoch: Instant,
    /// Present where memory is limited.
    sizes: Option<ValueSizes>,
}

/// What a run needs of the limits of its engine.
pub(crate) struct RunLimits {
    limits: Py<Limits>,
    /// The group of each kind of operation that is limited, by the address of its spec.
    groups: RwLock<HashMap<usize, u32>>,
    /// The group of the others, where there is one: they are limited by memory alone.
    others: Option<u32>,
    /// For each node its turn in the order that keeps few values alive, where memory is limited.
    turns: Box<[u32]>,
}

impl RunLimits {
    pub(crate) fn new(limits: Py<Limits>, groups: &[(Py<NodeSpec>, u32)], others: Option<u32>, plan: &Plan) -> Self {
        let groups = groups.iter().map(|(spec, group)| (spec.as_ptr() as usize, *group)).collect();
        let limits_memory = limits.get().sizes.is_some();
        let mut turns = vec![0; if limits_memory { plan.node_count() } else { 0 }].into_boxed_slice();
        if limits_memory {
            plan.sequence().iter().zip(0..).for_each(|(&node, turn)| turns[node as usize] = turn);
        }
        Self { limits, groups: RwLock::new(groups), others, turns }
    }

    fn group(&self, spec: &Py<NodeSpec>) -> Option<u32> {
        let groups = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        groups.get(&(spec.as_ptr() as usize)).copied().or(self.others)
    }

    /// Adds the groups of kinds of operation that an expansion has brought.
    pub(crate) fn add_groups(&self, groups: &[(Py<NodeSpec>, u32)]) {
        let mut known = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(groups.iter().map(|(spec, group)| (spec.as_ptr() as usize, *group)));
    }

    /// Notes what the outputs of an attempt hold together.
    pub(crate) fn note_outputs(&self, spec: &NodeSpec, bytes: u64) {
        if let Some(sizes) = &self.limits.get().sizes {
            sizes.note_attempt(&spec.output_size, bytes);
        }
    }

    /// Asks for what a task needs; `false` when it has to wait.
    pub(crate) fn admits(&self, py: Python<'_>, run: &Arc<CoreRun>, task: Task) -> bool {
        let spec = if task.instance.is_items() {
            crate::items::spec_object(run, task)
        } else {
            run.instance(task.instance).program().spec_object(task.node)
        };
        let Some(group) = self.group(spec) else { return true };
        if spec.get().expands != Expands::Nothing && spec.get().expands != Expands::Graph {
            return true;
        }
        let limits = self.limits.get();
        let growth = limits.sizes.as_ref().map_or(0, |sizes| growth(py, sizes, run, task, spec.get()));
        let node = run.node_of(task);
        // Without a limit of memory, those of one priority get their turn as they come.
        let position = self.turns.get(root_of(run, node).index()).map_or(0, |&turn| u64::from(turn));
        let request = Request { group, growth, priority: priority(py, run, node), position };
        let now = limits.now();
        let (verdict, grants) =
            limits.ledger.request(ticket(run, task), request, now, || !run.goes_on(task), || (run.clone(), task));
        dispatch(grants);
        match verdict {
            Verdict::Go => true,
            Verdict::Waits => false,
            Verdict::Stopped => {
                // It will be passed over.
                run.resume(task);
                false
            }
        }
    }

    /// An attempt has ended, or will not begin.
    pub(crate) fn left(&self, run: &CoreRun, task: Task) {
        let limits = self.limits.get();
        dispatch(limits.ledger.release(ticket(run, task), limits.now()));
    }

    /// Nothing of a run starts any more.
    pub(crate) fn stopped(&self, run: &CoreRun) {
        let limits = self.limits.get();
        let (withdrawn, grants) = limits.ledger.withdraw(number(run), limits.now());
        withdrawn.into_iter().for_each(|(run, task)| run.resume(task));
        dispatch(grants);
    }

    /// A value is about to be put into an output that may keep it; gives its size.
    pub(crate) fn value_comes(&self, value: &Bound<'_, PyAny>) -> u64 {
        let limits = self.limits.get();
        let Some(sizes) = &limits.sizes else { return 0 };
        match sizes.add(value) {
            Ok((grown, size)) => {
                limits.ledger.charge(grown);
                size
            }
            Err(error) => {
                error.write_unraisable(value.py(), Some(value));
                0
            }
        }
    }

    /// A result of an item is about to be put beside the others; gives its size.
    pub(crate) fn result_comes(&self, spec: &NodeSpec, value: &Bound<'_, PyAny>) -> u64 {
        let limits = self.limits.get();
        let Some(sizes) = &limits.sizes else { return 0 };
        let size = value_sizes::size(value).unwrap_or_else(|error| {
            error.write_unraisable(value.py(), Some(value));
            0
        });
        sizes.note_attempt(&spec.output_size, size);
        limits.ledger.charge(size);
        size
    }

    /// The results of a map are no longer its own.
    pub(crate) fn results_leave(&self, bytes: u64) {
        self.limits.get().ledger.discharge(bytes);
    }

    /// A value leaves the output that kept it.
    pub(crate) fn value_leaves(&self, value: &Bound<'_, PyAny>) {
        let limits = self.limits.get();
        if let Some(sizes) = &limits.sizes {
            limits.ledger.discharge(sizes.remove(value));
        }
    }

    /// What the result keeps does not count any more: the engine has no say in it.
    pub(crate) fn run_ends(&self, py: Python<'_>, run: &CoreRun) {
        let limits = self.limits.get();
        if limits.sizes.is_none() {
            return;
        }
        for instance in run.instances() {
            // SAFETY: every node has its outcome, so nothing puts or takes a value any more.
            #[allow(unsafe_code)]
            let values = unsafe { instance.slots().iter() };
            values.for_each(|value| self.value_leaves(value.bind(py)));
        }
        limits.look_again();
    }

    /// A run has nothing to do: what waits for memory alone goes on, one at a time.
    pub(crate) fn idles(&self, run: &CoreRun) {
        let limits = self.limits.get();
        if limits.sizes.is_some()
            && let Some((run, task)) = limits.ledger.insist(number(run), limits.now())
        {
            run.resume(task);
        }
    }

    pub(crate) fn looks_again(&self) {
        self.limits.get().look_again();
    }
}

fn number(run: &CoreRun) -> u64 {
    std::ptr::from_ref(run) as u64
}

fn ticket(run: &CoreRun, task: Task) -> Ticket {
    (number(run), u64::from(task.instance.0) << 32 | u64::from(task.node.0))
}

fn dispatch(grants: Grants<Waiting>) {
    for (run, task) in grants.granted {
        run.resume(task);
    }
    for ((run, _), delay) in grants.later {
        run.look_again(delay);
    }
}

/// The node of the run's own plan that a node is, or was expanded from.
fn root_of(run: &CoreRun, node: Task) -> NodeId {
    let mut node = node;
    while let Some((parent, _)) = run.instance(node.instance).parent() {
        node = run.node_of(parent);
    }
    node.node
}

fn priority(py: Python<'_>, run: &CoreRun, node: Task) -> i64 {
    let operation = run.instance(node.instance).program().operation(py, node.node);
    // It was checked when the graph was compiled; one beyond 64 bits is as high or low as it gets.
    let priority = operation.getattr(intern!(py, "priority"));
    priority.and_then(|priority| priority.extract()).unwrap_or(0)
}

/// By how much the values between operations are expected to grow with this task: its outputs, without the inputs that
/// leave with it.
fn growth(py: Python<'_>, sizes: &ValueSizes, run: &CoreRun, task: Task, spec: &NodeSpec) -> u64 {
    let expected = spec.output_size.expected().unwrap_or_else(|| sizes.typical());
    if task.instance.is_items() {
        return expected;
    }
    let instance = run.instance(task.instance);
    expected.saturating_sub(leaving(py, sizes, instance, task))
}

fn leaving(py: Python<'_>, sizes: &ValueSizes, instance: &Instance<PythonBody>, task: Task) -> u64 {
    let sources = instance.plan().sources(task.node).iter().filter_map(|source| match source.kind() {
        SourceKind::Slot(slot) if instance.slots().shares(slot) == 1 => Some(slot),
        _ => None,
    });
    // SAFETY: the task is ready and has not begun: its shares of its inputs are not given back.
    #[allow(unsafe_code)]
    sources.filter_map(|slot| unsafe { instance.value(slot) }).map(|value| sizes.known(value.bind(py))).sum()
}

impl Limits {
    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn look_again(&self) {
        dispatch(self.ledger.reconsider(self.now()));
    }
}

#[pymethods]
impl Limits {
    /// Limits without resources; `memory_limit` in bytes.
    #[new]
    #[pyo3(signature = (memory_limit=None))]
    fn new(memory_limit: Option<u64>) -> Self {
        Self {
            ledger: Ledger::new(memory_limit.unwrap_or(u64::MAX)),
            epoch: Instant::now(),
            sizes: memory_limit.map(ValueSizes::new),
        }
    }

    /// Adds a resource, and returns its number.
    fn add_resource(&self, capacity: u64) -> u32 {
        self.ledger.add_resource(capacity)
    }

    /// Adds a rate: one start in so many nanoseconds; returns its number.
    fn add_bucket(&self, interval: u64, burst: u32) -> u32 {
        self.ledger.add_bucket(interval, burst)
    }

    /// Adds a kind of request: (resource, amount) pairs and rates; returns its number.
    fn add_group(&self, demands: Vec<(u32, u64)>, buckets: Vec<u32>) -> PyResult<u32> {
        let resources = self.ledger.used().len();
        if demands.iter().any(|demand| demand.0 as usize >= resources) {
            return Err(PyValueError::new_err("a demand is for a resource that was not added"));
        }
        let demands: Vec<Demand> = demands.into_iter().map(|(resource, amount)| Demand { resource, amount }).collect();
        Ok(self.ledger.add_group(&demands, &buckets))
    }

    /// How much of each resource is in use.
    fn used(&self) -> Vec<u64> {
        self.ledger.used()
    }

    /// What the values between operations hold, in bytes, where memory is limited.
    #[getter]
    fn live(&self) -> u64 {
        self.ledger.live()
    }

    /// How many operations wait to be admitted.
    #[getter]
    fn waiting(&self) -> usize {
        self.ledger.waiting()
    }
}
