//! The graph under construction, as Python sees it: converts, calls, converts.

use dataflow_core::error::GraphError;
use dataflow_core::graph::Graph;
use dataflow_core::ids::{NodeId, ShapeId};
use dataflow_core::validate::{CycleEdge, Fault, validate};
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

/// A compact graph of integers.
#[pyclass(module = "execution_dataflow._core")]
#[derive(Default)]
pub(crate) struct Topology {
    pub(crate) graph: Graph,
}

pub(crate) fn graph_error(error: GraphError) -> PyErr {
    match error {
        GraphError::TooLarge { .. } => PyOverflowError::new_err(error.to_string()),
        GraphError::UnknownNode { .. } | GraphError::UnknownShape { .. } | GraphError::UnknownPort { .. } => {
            PyIndexError::new_err(error.to_string())
        }
        GraphError::UnknownFlags { .. } => PyValueError::new_err(error.to_string()),
    }
}

fn fault_to_python<'py>(py: Python<'py>, fault: Fault) -> PyResult<Bound<'py, PyTuple>> {
    match fault {
        Fault::Unconnected { node, port } => ("unconnected", (node.0, port)).into_pyobject(py),
        Fault::Cycle { edges } => {
            let port = |port: Option<u32>| port.map_or(-1, i64::from);
            let edge = |e: &CycleEdge| (e.source.0, port(e.source_port), e.target.0, port(e.target_port));
            ("cycle", edges.iter().map(edge).collect::<Vec<_>>()).into_pyobject(py)
        }
    }
}

#[pymethods]
impl Topology {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn add_shape(&mut self, inputs: &Bound<'_, PyBytes>, outputs: &Bound<'_, PyBytes>) -> PyResult<u32> {
        self.graph.add_shape(inputs.as_bytes(), outputs.as_bytes()).map(|shape| shape.0).map_err(graph_error)
    }

    fn add_node(&mut self, shape: u32) -> PyResult<u32> {
        self.graph.add_node(ShapeId(shape)).map(|node| node.0).map_err(graph_error)
    }

    fn connect(&mut self, source: u32, source_port: u32, target: u32, target_port: u32) -> PyResult<bool> {
        self.graph.connect(NodeId(source), source_port, NodeId(target), target_port).map_err(graph_error)
    }

    fn bind(&mut self, node: u32, port: u32, constant: u32) -> PyResult<bool> {
        self.graph.bind(NodeId(node), port, constant).map_err(graph_error)
    }

    fn order(&mut self, before: u32, after: u32) -> PyResult<()> {
        self.graph.order(NodeId(before), NodeId(after)).map_err(graph_error)
    }

    fn source_of(&self, node: u32, port: u32) -> PyResult<Vec<(u32, u32)>> {
        let (nodes, ports) = (
            self.graph.node_count(),
            if (node as usize) < self.graph.node_count() { self.graph.input_count(NodeId(node)) } else { 0 },
        );
        if port as usize >= ports {
            return Err(PyIndexError::new_err(format!(
                "there is no input {port} of node {node} in a graph of {nodes} nodes"
            )));
        }
        Ok(self.graph.sources_of(NodeId(node), port).into_iter().map(|(node, port)| (node.0, port)).collect())
    }

    fn edges(&self) -> Vec<(u32, u32, u32, u32)> {
        self.graph.edges().map(|(source, out, target, input)| (source.0, out, target.0, input)).collect()
    }

    fn orders(&self) -> Vec<(u32, u32)> {
        self.graph.orders().map(|(before, after)| (before.0, after.0)).collect()
    }

    fn faults<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let graph = &self.graph;
        py.detach(|| validate(graph)).into_iter().map(|fault| fault_to_python(py, fault)).collect()
    }

    fn __len__(&self) -> usize {
        self.graph.node_count()
    }
}
