//! The compiled plan with what Python knows of its nodes.

use std::sync::{Arc, OnceLock};

use dataflow_core::graph::{Graph, Identities};
use dataflow_core::ids::NodeId;
use dataflow_core::plan::{Plan, Source, SourceKind};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};

use crate::body::LONG_NANOSECONDS;
use crate::node_spec::{Expands, NodeSpec};

/// Specs, operations and constants of a plan's nodes.
pub(crate) struct Program {
    specs: Vec<Py<NodeSpec>>,
    spec_of: Vec<u32>,
    operations: Vec<Py<PyAny>>,
    constants: Vec<Py<PyAny>>,
    may_expand: bool,
    given_count: usize,
}

impl Program {
    /// Each spec has the ports of the nodes that it is for, and each constant is there.
    pub(crate) fn new(
        graph: &Graph,
        specs: Vec<Py<NodeSpec>>,
        spec_of: Vec<u32>,
        operations: Vec<Py<PyAny>>,
        constants: Vec<Py<PyAny>>,
        given_count: u32,
    ) -> PyResult<Self> {
        let mut latest = None;
        for (node, &index) in spec_of.iter().enumerate() {
            let node = NodeId(node as u32);
            let shape = (index, graph.input_flags(node).as_ptr());
            if latest == Some(shape) {
                continue;
            }
            let spec = specs.get(index as usize);
            let spec = spec.ok_or_else(|| PyIndexError::new_err(format!("there is no spec {index}")))?.get();
            if spec.input_checks.len() != graph.input_count(node) || spec.output_flags.len() != graph.output_count(node)
            {
                return Err(PyValueError::new_err(format!(
                    "the spec of {} has other ports than node {}",
                    spec.label, node.0
                )));
            }
            latest = Some(shape);
        }
        let may_expand = specs.iter().any(|spec| spec.get().expands != Expands::Nothing);
        Ok(Self { specs, spec_of, operations, constants, may_expand, given_count: given_count as usize })
    }

    /// Whether some operation took long in an earlier run. Of a plan with very many kinds the first ones are asked.
    pub(crate) fn expects_long(&self) -> bool {
        const ASKED: usize = 256;
        self.specs.iter().take(ASKED).any(|spec| spec.get().duration.longest() > LONG_NANOSECONDS)
    }

    /// Whether more may come of some node than is known now: items, or other plans.
    pub(crate) fn may_expand(&self) -> bool {
        self.may_expand
    }

    /// How many values each run is given when it starts.
    pub(crate) fn given_count(&self) -> usize {
        self.given_count
    }

    #[inline]
    pub(crate) fn spec_object(&self, node: NodeId) -> &Py<NodeSpec> {
        &self.specs[self.spec_of[node.index()] as usize]
    }

    #[inline]
    pub(crate) fn spec(&self, node: NodeId) -> &NodeSpec {
        self.spec_object(node).get()
    }

    #[inline]
    pub(crate) fn operation<'a, 'py>(&'a self, py: Python<'py>, node: NodeId) -> &'a Bound<'py, PyAny> {
        self.operations[node.index()].bind(py)
    }

    #[inline]
    pub(crate) fn constant(&self, index: u32) -> &Py<PyAny> {
        &self.constants[index as usize]
    }
}

/// An immutable plan.
#[pyclass(frozen, name = "Plan", module = "execution_dataflow._core")]
pub(crate) struct PyPlan {
    pub(crate) plan: Arc<Plan>,
    pub(crate) program: Arc<Program>,
    /// Made when the first operation is looked up.
    identities: OnceLock<Identities>,
}

impl PyPlan {
    pub(crate) fn new(plan: Plan, program: Program) -> Self {
        Self { plan: Arc::new(plan), program: Arc::new(program), identities: OnceLock::new() }
    }

    pub(crate) fn node(&self, node: u32) -> PyResult<NodeId> {
        let count = self.plan.node_count();
        if (node as usize) < count {
            Ok(NodeId(node))
        } else {
            Err(PyIndexError::new_err(format!("there is no node {node} in a plan of {count} nodes")))
        }
    }

    pub(crate) fn output(&self, node: u32, port: u32) -> PyResult<NodeId> {
        let node = self.node(node)?;
        let count = self.plan.slots_of(node).len();
        if (port as usize) < count {
            Ok(node)
        } else {
            Err(PyIndexError::new_err(format!("there is no output {port} of node {} with {count} outputs", node.0)))
        }
    }
}

#[pymethods]
impl PyPlan {
    /// The operations, in the order in which they were added.
    fn operations<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.program.operations)
    }

    /// The node of an operation, its first one if it has several, or -1.
    fn index_of(&self, operation: &Bound<'_, PyAny>) -> i64 {
        let operations = &self.program.operations;
        let identity_of = |node: u32| operations[node as usize].as_ptr() as usize;
        let identities = self.identities.get_or_init(|| {
            let mut identities = Identities::default();
            (0..operations.len() as u32).for_each(|node| identities.insert(identity_of(node), node, identity_of));
            identities
        });
        identities.find(operation.as_ptr() as usize, identity_of).map_or(-1, i64::from)
    }

    /// For each node, the place of its spec among the specs.
    fn spec_of(&self) -> Vec<u32> {
        self.program.spec_of.clone()
    }

    fn order(&self) -> Vec<u32> {
        self.plan.order().to_vec()
    }

    fn sequence(&self) -> Vec<u32> {
        self.plan.sequence().to_vec()
    }

    fn gates(&self) -> Vec<u32> {
        self.plan.gates().to_vec()
    }

    fn rank(&self) -> Vec<u32> {
        (0..self.plan.node_count() as u32).map(|node| self.plan.rank(NodeId(node))).collect()
    }

    fn slot(&self, node: u32, port: u32) -> PyResult<u32> {
        Ok(self.plan.slot(self.output(node, port)?, port).0)
    }

    /// The same plan with other specs, of the same ports.
    fn with_specs(&self, py: Python<'_>, specs: Vec<Py<NodeSpec>>) -> PyResult<Self> {
        let program = &self.program;
        let has_same_ports = |(new, old): (&Py<NodeSpec>, &Py<NodeSpec>)| {
            new.get().input_flags == old.get().input_flags && new.get().output_flags == old.get().output_flags
        };
        if specs.len() != program.specs.len() || !specs.iter().zip(&program.specs).all(has_same_ports) {
            return Err(PyValueError::new_err("specs in the place of others have the same ports"));
        }
        let clone = |objects: &[Py<PyAny>]| objects.iter().map(|object| object.clone_ref(py)).collect();
        let program = Program {
            specs,
            spec_of: program.spec_of.clone(),
            operations: clone(&program.operations),
            constants: clone(&program.constants),
            may_expand: program.may_expand,
            given_count: program.given_count,
        };
        Ok(Self { plan: self.plan.clone(), program: Arc::new(program), identities: OnceLock::new() })
    }

    /// For each input of a node the outputs that feed it: the node and its port.
    fn feeders(&self, node: u32) -> PyResult<Vec<Vec<(u32, u32)>>> {
        let node = self.node(node)?;
        let feeders = |sources: &[Source]| {
            let slots = sources.iter().filter_map(|source| match source.kind() {
                SourceKind::Slot(slot) => Some(self.plan.slot_owner(slot)),
                SourceKind::Constant(_) | SourceKind::Unbound => None,
            });
            slots.map(|(node, port)| (node.0, port)).collect()
        };
        let inputs = 0..self.plan.input_flags(node).len() as u32;
        Ok(inputs.map(|port| feeders(self.plan.port_sources(node, port))).collect())
    }

    /// The outputs that nothing consumes: the node of each, and its port.
    fn open_outputs(&self) -> Vec<(u32, u32)> {
        let counts = self.plan.consumer_counts();
        let nodes = (0..self.plan.node_count() as u32).map(NodeId);
        let ports = nodes.flat_map(|node| (0..self.plan.slots_of(node).len() as u32).map(move |port| (node, port)));
        let open = ports.filter(|&(node, port)| counts[self.plan.slot(node, port).index()] == 0);
        open.map(|(node, port)| (node.0, port)).collect()
    }

    fn consumers(&self, node: u32, port: u32) -> PyResult<u32> {
        let node = self.output(node, port)?;
        Ok(self.plan.consumer_counts()[self.plan.slot(node, port).index()])
    }

    fn predecessors(&self, node: u32) -> PyResult<Vec<u32>> {
        Ok(self.plan.predecessors(self.node(node)?).to_vec())
    }

    fn successors(&self, node: u32) -> PyResult<Vec<u32>> {
        let mut successors = self.plan.successors(self.node(node)?).to_vec();
        successors.sort_unstable();
        Ok(successors)
    }

    fn __len__(&self) -> usize {
        self.plan.node_count()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // A run shares the program: while it does, these references are not the plan's alone and are left out.
        if Arc::strong_count(&self.program) > 1 {
            return Ok(());
        }
        let program = &self.program;
        program.specs.iter().try_for_each(|spec| visit.call(spec))?;
        program.operations.iter().chain(&program.constants).try_for_each(|object| visit.call(object))
    }
}
