//! A plan as those see it who look at it as a whole; nothing of it is kept between two questions.

use blake2b_simd::Params;
use dataflow_core::ids::NodeId;
use dataflow_core::plan::SourceKind;
use dataflow_core::survey::{self, Direction, merkle};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{PyTraverseError, PyVisit};

use crate::plan::PyPlan;
use crate::run_program::FIRST_GIVEN;

/// What one input is given: the output of a node, or a constant with -1 for both.
type Given = (i64, i64, Option<Py<PyAny>>);

/// What an input is given instead of an output: the node, the input, its position there, the number of a value of each
/// run or -1, and the constant.
type ConstantInput = (u32, u32, u32, i64, Option<Py<PyAny>>);

/// Digests, and the nodes without, each with the first one on the way to it that has none by itself.
type Merkle<'py> = (Bound<'py, PyBytes>, Vec<(u32, u32)>);

/// Answers questions about a whole plan.
#[pyclass(frozen, module = "execution_dataflow._core")]
pub(crate) struct Survey {
    plan: Py<PyPlan>,
}

impl Survey {
    fn check_length(given: usize, wanted: usize, what: &str) -> PyResult<()> {
        if given == wanted {
            return Ok(());
        }
        Err(PyValueError::new_err(format!("{given} {what} were given, and the plan has {wanted}")))
    }
}

#[pymethods]
impl Survey {
    #[new]
    fn new(plan: Py<PyPlan>) -> Self {
        Self { plan }
    }

    /// For each node the number of nodes before it on the longest path to it.
    fn levels(&self, py: Python<'_>) -> Vec<u32> {
        let plan = &self.plan.get().plan;
        py.detach(|| survey::levels(plan))
    }

    /// The nodes of the path that weighs most, and its weight.
    fn critical_path(&self, py: Python<'_>, weights: Vec<f64>) -> PyResult<(Vec<u32>, f64)> {
        let plan = &self.plan.get().plan;
        Self::check_length(weights.len(), plan.node_count(), "weights of nodes")?;
        Ok(py.detach(|| survey::critical_path(plan, &weights)))
    }

    /// The nodes before some nodes, or behind them, by data or also by order alone, in topological order.
    fn lineage(&self, py: Python<'_>, nodes: Vec<u32>, upstream: bool, with_order: bool) -> PyResult<Vec<u32>> {
        let plan = self.plan.get();
        nodes.iter().try_for_each(|&node| plan.node(node).map(drop))?;
        let direction = if upstream { Direction::Upstream } else { Direction::Downstream };
        Ok(py.detach(|| survey::lineage(&plan.plan, &nodes, direction, with_order)))
    }

    /// The nodes of a shortest path of channels, both ends included; `None` if there is none.
    fn shortest_path(&self, py: Python<'_>, source: u32, target: u32) -> PyResult<Option<Vec<u32>>> {
        let plan = self.plan.get();
        let (source, target) = (plan.node(source)?.0, plan.node(target)?.0);
        Ok(py.detach(|| survey::shortest_path(&plan.plan, source, target)))
    }

    /// How many channels there are, and how many order-only dependencies.
    fn edge_counts(&self, py: Python<'_>) -> (u64, u64) {
        let plan = &self.plan.get().plan;
        py.detach(|| survey::edge_counts(plan))
    }

    /// The edges between groups of nodes: (group, group, number of channels, number of order-only dependencies).
    fn quotient(&self, py: Python<'_>, groups: Vec<u32>) -> PyResult<Vec<(u32, u32, u64, u64)>> {
        let plan = &self.plan.get().plan;
        Self::check_length(groups.len(), plan.node_count(), "groups of nodes")?;
        let bundles = py.detach(|| survey::quotient(plan, &groups));
        let flat = |bundle: survey::Bundle| (bundle.groups.0, bundle.groups.1, bundle.channels, bundle.orders);
        Ok(bundles.into_iter().map(flat).collect())
    }

    /// How many channels lead from an output of one kind of node to an input of another: ((kind, output, kind, input),
    /// number).
    fn channel_kinds(&self, py: Python<'_>, kinds: Vec<u32>) -> PyResult<Vec<survey::ChannelKind>> {
        let plan = &self.plan.get().plan;
        Self::check_length(kinds.len(), plan.node_count(), "kinds of nodes")?;
        Ok(py.detach(|| survey::channel_kinds(plan, &kinds)))
    }

    /// What values hold at most along the sequence of one worker, given the size of each output: the bytes, the node that
    /// makes it so much or -1, and the most values at a time.
    fn peak(&self, py: Python<'_>, sizes: Vec<u64>) -> PyResult<(u64, i64, u64)> {
        let plan = &self.plan.get().plan;
        Self::check_length(sizes.len(), plan.slot_count(), "sizes of outputs")?;
        let peak = py.detach(|| survey::peak(plan, &sizes));
        Ok((peak.bytes, peak.node.map_or(-1, |node| i64::from(node.0)), peak.values))
    }

    /// For each output of all nodes, in their order, how many channels leave it.
    fn consumer_counts(&self) -> Vec<u32> {
        self.plan.get().plan.consumer_counts().to_vec()
    }

    /// For each input of a node what it was given: (node, output, None), (-1, -1, constant), or (-2, number, None) for a
    /// value of each run.
    fn bindings(&self, py: Python<'_>, node: u32) -> PyResult<Vec<Vec<Given>>> {
        let plan = self.plan.get();
        let node = plan.node(node)?;
        let given = |kind: SourceKind| match kind {
            SourceKind::Slot(slot) => {
                let (owner, output): (NodeId, u32) = plan.plan.slot_owner(slot);
                Some((i64::from(owner.0), i64::from(output), None))
            }
            SourceKind::Constant(index) => Some(match index.checked_sub(FIRST_GIVEN) {
                Some(number) => (-2, i64::from(number), None),
                None => (-1, -1, Some(plan.program.constant(index).clone_ref(py))),
            }),
            SourceKind::Unbound => None,
        };
        let inputs = 0..plan.plan.input_flags(node).len() as u32;
        let bindings =
            inputs.map(|input| plan.plan.port_sources(node, input).iter().filter_map(|s| given(s.kind())).collect());
        Ok(bindings.collect())
    }

    /// All constants and values of each run that inputs are given: (node, input, position among what the input is given,
    /// number of the value of each run or -1, constant).
    fn constants(&self, py: Python<'_>) -> Vec<ConstantInput> {
        let plan = self.plan.get();
        let mut found = Vec::new();
        for node in (0..plan.plan.node_count() as u32).map(NodeId) {
            for (input, range) in plan.plan.input_ranges(node).enumerate() {
                for (position, source) in plan.plan.sources(node)[range].iter().enumerate() {
                    let SourceKind::Constant(index) = source.kind() else { continue };
                    let (number, constant) = match index.checked_sub(FIRST_GIVEN) {
                        Some(number) => (i64::from(number), None),
                        None => (-1, Some(plan.program.constant(index).clone_ref(py))),
                    };
                    found.push((node.0, input as u32, position as u32, number, constant));
                }
            }
        }
        found
    }

    /// For each node 48 bytes: the 32 that it is by itself, which are given, and a digest of what it is computed from;
    /// and the nodes without, as (node, the first one on the way to it that is among `unknown`).
    fn merkle<'py>(&self, py: Python<'py>, own: &[u8], unknown: Vec<u32>, beginning: &[u8]) -> PyResult<Merkle<'py>> {
        let plan = self.plan.get();
        Self::check_length(own.len(), plan.plan.node_count() * merkle::OWN, "bytes of what nodes are")?;
        unknown.iter().try_for_each(|&node| plan.node(node).map(drop))?;
        let digest = |bytes: &[u8]| {
            let hash = Params::new().hash_length(merkle::DIGEST).hash(bytes);
            let mut digest = [0; merkle::DIGEST];
            digest.copy_from_slice(hash.as_bytes());
            digest
        };
        let found = py.detach(|| merkle::merkle(&plan.plan, own, &unknown, digest(beginning), digest));
        let causes = found.causes.into_iter().enumerate().filter(|&(_, cause)| cause != merkle::NO_CAUSE);
        Ok((PyBytes::new(py, &found.digests), causes.map(|(node, cause)| (node as u32, cause)).collect()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.plan)
    }
}
