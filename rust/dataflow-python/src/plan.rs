//! The compiled plan with what Python knows of its nodes.

use std::sync::Arc;

use dataflow_core::ids::NodeId;
use dataflow_core::plan::{Plan, SourceKind};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::node_spec::NodeSpec;
use crate::topology::Topology;

/// Specs, operations and constants of a plan's nodes.
pub(crate) struct Program {
    specs: Vec<Py<NodeSpec>>,
    spec_of: Vec<u32>,
    operations: Vec<Py<PyAny>>,
    constants: Vec<Py<PyAny>>,
}

impl Program {
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
}

impl PyPlan {
    pub(crate) fn node(&self, node: u32) -> PyResult<NodeId> {
        let count = self.plan.node_count();
        if (node as usize) < count {
            Ok(NodeId(node))
        } else {
            Err(PyIndexError::new_err(format!("there is no node {node} in a plan of {count} nodes")))
        }
    }

    fn output(&self, node: u32, port: u32) -> PyResult<NodeId> {
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
    #[new]
    #[pyo3(signature = (topology, specs, spec_of, operations, constants, priorities = Vec::new()))]
    fn new(
        py: Python<'_>,
        topology: &Topology,
        specs: Vec<Py<NodeSpec>>,
        spec_of: Vec<u32>,
        operations: Vec<Py<PyAny>>,
        constants: Vec<Py<PyAny>>,
        priorities: Vec<(u32, i64)>,
    ) -> PyResult<Self> {
        let graph = &topology.graph;
        let nodes = graph.node_count();
        if let Some((node, _)) = priorities.iter().find(|&&(node, _)| node as usize >= nodes) {
            return Err(PyIndexError::new_err(format!("there is no node {node} in a graph of {nodes} nodes")));
        }
        let priorities: Vec<(NodeId, i64)> = priorities.into_iter().map(|(node, p)| (NodeId(node), p)).collect();
        if spec_of.len() != nodes || operations.len() != nodes {
            return Err(PyValueError::new_err(format!(
                "a graph of {nodes} nodes needs {nodes} specs and operations, not {} and {}",
                spec_of.len(),
                operations.len()
            )));
        }
        for (node, &spec) in spec_of.iter().enumerate() {
            let node = NodeId(node as u32);
            let spec =
                specs.get(spec as usize).ok_or_else(|| PyIndexError::new_err(format!("there is no spec {spec}")))?;
            let spec = spec.get();
            if spec.input_checks.len() != graph.input_count(node) || spec.output_flags.len() != graph.output_count(node)
            {
                return Err(PyValueError::new_err(format!(
                    "the spec of {} has other ports than node {}",
                    spec.label, node.0
                )));
            }
        }
        let plan = py.detach(|| Plan::compile_prioritised(graph, &priorities));
        let plan = plan
            .map_err(|faults| PyValueError::new_err(format!("the graph has {} faults: see faults()", faults.len())))?;
        for node in (0..nodes as u32).map(NodeId) {
            for source in plan.sources(node) {
                if let SourceKind::Constant(index) = source.kind()
                    && index as usize >= constants.len()
                {
                    return Err(PyIndexError::new_err(format!("there is no constant {index}")));
                }
            }
        }
        let program = Program { specs, spec_of, operations, constants };
        Ok(Self { plan: Arc::new(plan), program: Arc::new(program) })
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
