//! One graph made of several: nodes and connections of one builder are copied into another, and what a connection came
//! from may be something else there. What stands for what is decided above, in Python.

use std::collections::HashMap;

use dataflow_core::graph::Origin;
use dataflow_core::ids::NodeId;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::builder::{GraphBuilder, graph_error};
use crate::registry::{Given, Registry};
use crate::run_program::FIRST_GIVEN;

/// The place of a node that was not copied.
pub(crate) const LEFT_OUT: u32 = u32::MAX;

/// Kinds of source, as the layer above writes them: `(kind, ...)`.
const OUTPUT: u32 = 0;
const CONSTANT: u32 = 1;
const GIVEN: u32 = 2;

/// An output or an input: a node and the index of its port.
type Port = (u32, u32);

/// Adds nodes `first..end` of another builder, with their operations; returns the first of the new nodes.
pub(crate) fn copy_nodes(
    slf: &Bound<'_, GraphBuilder>,
    other: &Bound<'_, GraphBuilder>,
    first: usize,
    end: usize,
) -> PyResult<usize> {
    let py = slf.py();
    check_different(slf, other)?;
    let other = other.borrow();
    let mut this = slf.borrow_mut();
    this.changed();
    let end = end.min(other.registry.operations.len());
    let copied = this.registry.operations.len();
    this.places.copy(py, &other.places, first as u32, end as u32, copied as u32);
    let (from, to) = (&other.registry, &mut this.registry);
    to.reserve(end.saturating_sub(first));
    let mut kinds: HashMap<u32, u32> = HashMap::new();
    for node in first..end {
        let known = from.kind_of[node];
        let kind = match kinds.get(&known) {
            Some(&kind) => kind,
            None => {
                let kind = copy_kind(py, from, known, from.operations[node].bind(py).get_type(), to)?;
                kinds.insert(known, kind);
                kind
            }
        };
        to.push(from.operations[node].clone_ref(py), kind).map_err(graph_error)?;
    }
    Ok(copied)
}

fn copy_kind(py: Python<'_>, from: &Registry, kind: u32, class: Bound<'_, PyType>, to: &mut Registry) -> PyResult<u32> {
    let layout = &from.kinds.get(kind).layout;
    let ports = layout.get();
    let shape = to.graph.add_shape(&ports.input_flags, &ports.output_flags).map_err(graph_error)?;
    let signature = ports.signature.clone_ref(py);
    Ok(to.kinds.add(class.into_any().unbind(), signature, layout.clone_ref(py), shape))
}

/// Adds the connections and constants between the nodes of another builder, in their order. `places` has for each of its
/// nodes the one here, or `LEFT_OUT`; `instead` has what stands for an output; inputs in `skipped` get nothing.
pub(crate) fn copy_links(
    slf: &Bound<'_, GraphBuilder>,
    other: &Bound<'_, GraphBuilder>,
    places: &[u8],
    instead: &Bound<'_, PyDict>,
    skipped: Vec<Port>,
) -> PyResult<()> {
    let py = slf.py();
    check_different(slf, other)?;
    let mut replaced: HashMap<Port, Vec<Given>> = HashMap::new();
    for (port, sources) in instead.iter() {
        let sources: Vec<Bound<'_, PyTuple>> = sources.extract()?;
        replaced.insert(port.extract()?, sources.iter().map(read_source).collect::<PyResult<_>>()?);
    }
    let other = other.borrow();
    let mut this = slf.borrow_mut();
    this.changed();
    let (from, to) = (&other.registry, &mut this.registry);
    if places.len() != 4 * from.operations.len() {
        return Err(PyValueError::new_err("each node has a place"));
    }
    let places: Vec<u32> =
        places.chunks_exact(4).map(|bytes| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect();
    for (origin, target, port) in from.graph.sources() {
        let place = places[target.index()];
        if place == LEFT_OUT || skipped.contains(&(target.0, port)) {
            continue;
        }
        match origin {
            Origin::Constant(index) => bind(to, place, port, given_of(py, from, index))?,
            Origin::Output(node, output) => match replaced.get(&(node, output)) {
                Some(sources) => {
                    sources.iter().try_for_each(|source| bind(to, place, port, clone_of(py, source)))?;
                }
                None if places[node as usize] == LEFT_OUT => {
                    return Err(PyValueError::new_err(format!("node {node} is left out and node {place} needs it")));
                }
                None => bind(to, place, port, Given::Output { node: places[node as usize], output })?,
            },
        }
    }
    Ok(())
}

/// Gives an input a further source.
pub(crate) fn bind_source(
    slf: &Bound<'_, GraphBuilder>,
    node: u32,
    port: u32,
    source: &Bound<'_, PyTuple>,
) -> PyResult<()> {
    let source = read_source(source)?;
    let mut this = slf.borrow_mut();
    this.changed();
    bind(&mut this.registry, node, port, source)
}

fn bind(to: &mut Registry, node: u32, port: u32, source: Given) -> PyResult<()> {
    if to.bind(node, port, source).map_err(graph_error)? {
        Ok(())
    } else {
        Err(PyValueError::new_err(format!("input {port} of node {node} has its source already")))
    }
}

/// What an input of a node reads: its index, and the sources in their order.
pub(crate) fn sources_into<'py>(
    slf: &Bound<'py, GraphBuilder>,
    node: u32,
) -> PyResult<Vec<(u32, Bound<'py, PyTuple>)>> {
    let py = slf.py();
    let this = slf.borrow();
    let graph = &this.registry.graph;
    if node as usize >= graph.node_count() {
        return Err(PyIndexError::new_err(format!("there is no node {node}")));
    }
    let tuple_of = |origin| match origin {
        Origin::Output(node, output) => (OUTPUT, node, output).into_pyobject(py),
        Origin::Constant(index) => match given_of(py, &this.registry, index) {
            Given::AtStart(number) => (GIVEN, number).into_pyobject(py),
            Given::Constant(value) => (CONSTANT, value).into_pyobject(py),
            Given::Output { node, output } => (OUTPUT, node, output).into_pyobject(py),
        },
    };
    let ports = 0..graph.input_count(NodeId(node)) as u32;
    ports
        .flat_map(|port| graph.origins_of(NodeId(node), port).into_iter().map(move |origin| (port, origin)))
        .map(|(port, origin)| Ok((port, tuple_of(origin)?)))
        .collect()
}

/// The nodes whose operations are of these classes, in order.
pub(crate) fn nodes_of_classes(slf: &Bound<'_, GraphBuilder>, classes: &Bound<'_, PyTuple>) -> PyResult<Vec<u32>> {
    let py = slf.py();
    let this = slf.borrow();
    let registry = &this.registry;
    let mut known: Vec<Option<bool>> = vec![None; registry.kinds.len()];
    let mut found = Vec::new();
    for (node, (&kind, operation)) in registry.kind_of.iter().zip(&registry.operations).enumerate() {
        let is_one = match known[kind as usize] {
            Some(is_one) => is_one,
            None => *known[kind as usize].insert(operation.bind(py).is_instance(classes)?),
        };
        if is_one {
            found.push(node as u32);
        }
    }
    Ok(found)
}

fn check_different(slf: &Bound<'_, GraphBuilder>, other: &Bound<'_, GraphBuilder>) -> PyResult<()> {
    if slf.is(other) { Err(PyValueError::new_err("a builder cannot be copied into itself")) } else { Ok(()) }
}

fn read_source(source: &Bound<'_, PyTuple>) -> PyResult<Given> {
    match source.get_item(0)?.extract()? {
        OUTPUT => Ok(Given::Output { node: source.get_item(1)?.extract()?, output: source.get_item(2)?.extract()? }),
        CONSTANT => Ok(Given::Constant(source.get_item(1)?.unbind())),
        GIVEN => Ok(Given::AtStart(source.get_item(1)?.extract()?)),
        kind => Err(PyValueError::new_err(format!("there is no source of kind {kind}"))),
    }
}

/// What the constant of an index stands for.
fn given_of(py: Python<'_>, registry: &Registry, index: u32) -> Given {
    match index.checked_sub(FIRST_GIVEN) {
        Some(number) => Given::AtStart(number),
        None => Given::Constant(registry.constants[index as usize].clone_ref(py)),
    }
}

fn clone_of(py: Python<'_>, source: &Given) -> Given {
    match source {
        Given::Output { node, output } => Given::Output { node: *node, output: *output },
        Given::Constant(value) => Given::Constant(value.clone_ref(py)),
        Given::AtStart(index) => Given::AtStart(*index),
    }
}
