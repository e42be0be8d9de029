//! The nodes of a graph under construction with their operations, and what the keywords of `graph.add` mean to them.
#![allow(unsafe_code)]

use dataflow_core::error::GraphError;
use dataflow_core::graph::{Graph, INPUT_MANY, Identities};
use dataflow_core::ids::NodeId;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple, PyType};

use crate::kinds::Kinds;
use crate::operation_base::OperationBase;
use crate::run_program::FIRST_GIVEN;

/// Where an input gets its value from.
pub(crate) enum Given {
    Output {
        node: u32,
        output: u32,
    },
    Constant(Py<PyAny>),
    /// The value of that number which each run is given when it starts.
    AtStart(u32),
}

/// The classes of the layers above that the graph meets.
pub(crate) struct Classes {
    pub(crate) channel: Py<PyType>,
    pub(crate) reference: Py<PyType>,
    pub(crate) function: Py<PyType>,
    pub(crate) function_operation: Py<PyType>,
}

/// Nodes, edges, operations and constants.
pub(crate) struct Registry {
    pub(crate) graph: Graph,
    pub(crate) operations: Vec<Py<PyAny>>,
    pub(crate) kinds: Kinds,
    pub(crate) kind_of: Vec<u32>,
    pub(crate) constants: Vec<Py<PyAny>>,
    pub(crate) classes: Classes,
    identities: Identities,
    /// How many values each run is given when it starts.
    pub(crate) given_count: u32,
}

impl Registry {
    pub(crate) fn new(classes: Classes) -> Self {
        Self {
            graph: Graph::new(),
            operations: Vec::new(),
            kinds: Kinds::default(),
            kind_of: Vec::new(),
            constants: Vec::new(),
            classes,
            identities: Identities::default(),
            given_count: 0,
        }
    }

    /// The node of an operation, by its identity: it may define == or be unhashable.
    #[inline]
    pub(crate) fn find(&self, operation: *mut ffi::PyObject) -> Option<u32> {
        let operations = &self.operations;
        // What is connected was often added just now.
        if let Some(last) = operations.last()
            && last.as_ptr() == operation
        {
            return Some(operations.len() as u32 - 1);
        }
        self.identities.find(operation as usize, |node| operations[node as usize].as_ptr() as usize)
    }

    /// Adds a node for an operation that has none.
    #[inline]
    pub(crate) fn push(&mut self, operation: Py<PyAny>, kind: u32) -> Result<u32, GraphError> {
        let node = self.graph.add_node(self.kinds.get(kind).shape)?.0;
        self.adopt(operation, kind, node);
        Ok(node)
    }

    /// Gives the next node, which the graph has already, its operation.
    #[inline]
    pub(crate) fn adopt(&mut self, operation: Py<PyAny>, kind: u32, node: u32) {
        let identity = operation.as_ptr() as usize;
        self.operations.push(operation);
        self.kind_of.push(kind);
        let operations = &self.operations;
        self.identities.insert(identity, node, |node| operations[node as usize].as_ptr() as usize);
    }

    /// The node of an operation and its only output, if it has one node and one output.
    #[inline]
    fn only_output(&self, operation: &Bound<'_, PyAny>) -> Option<Given> {
        let node = self.find(operation.as_ptr())?;
        let outputs = self.kinds.layout(self.kind_of[node as usize]).output_flags.len();
        (outputs == 1).then_some(Given::Output { node, output: 0 })
    }

    fn referred_output(&self, reference: &Bound<'_, PyAny>) -> Option<Given> {
        // A named tuple: its items are fields of the object, so that no Python code runs.
        let reference = reference.cast::<PyTuple>().ok()?;
        let node = self.find(reference.get_borrowed_item(0).ok()?.as_ptr())?;
        let layout = self.kinds.layout(self.kind_of[node as usize]);
        let output = layout.output(&reference.get_borrowed_item(1).ok()?.to_owned())?;
        Some(Given::Output { node, output })
    }

    /// Reads what an input of a kind was given: hands it to `keep`, or answers `false` if that takes Python code to
    /// decide. With `is_checked`, constants have been looked at. Runs no Python code.
    #[inline]
    pub(crate) fn read(
        &mut self,
        kind: u32,
        input: u32,
        given: &Bound<'_, PyAny>,
        is_checked: bool,
        keep: &mut impl FnMut(Given),
    ) -> bool {
        if given.is_instance_of::<PyList>() || given.is_instance_of::<PyTuple>() {
            let is_reference = given.is_exact_instance(self.classes.reference.bind(given.py()));
            let takes_many = self.kinds.layout(kind).input_flags[input as usize] & INPUT_MANY != 0;
            if !is_reference && takes_many {
                return self.read_each(kind, input, given, is_checked, keep);
            }
            if !is_reference && !is_checked && !self.is_plain(given) {
                return false;
            }
        }
        match self.read_one(kind, input, given, is_checked) {
            Some(source) => {
                keep(source);
                true
            }
            None => false,
        }
    }

    /// Whether a list or tuple is one and holds no operations, which would have been given by mistake.
    fn is_plain(&self, items: &Bound<'_, PyAny>) -> bool {
        let reference = self.classes.reference.bind(items.py());
        let is_source =
            |item: &Bound<'_, PyAny>| item.is_instance_of::<OperationBase>() || item.is_exact_instance(reference);
        if let Ok(list) = items.cast_exact::<PyList>() {
            !list.iter().any(|item| is_source(&item))
        } else if let Ok(tuple) = items.cast_exact::<PyTuple>() {
            !tuple.iter_borrowed().any(|item| is_source(&item))
        } else {
            false // a subclass may be an enumeration of anything
        }
    }

    fn read_each(
        &mut self,
        kind: u32,
        input: u32,
        items: &Bound<'_, PyAny>,
        is_checked: bool,
        keep: &mut impl FnMut(Given),
    ) -> bool {
        let mut read = |item: &Bound<'_, PyAny>| self.read_one(kind, input, item, is_checked).map(&mut *keep).is_some();
        if let Ok(list) = items.cast_exact::<PyList>() {
            list.iter().all(|item| read(&item))
        } else if let Ok(tuple) = items.cast_exact::<PyTuple>() {
            tuple.iter_borrowed().all(|item| read(&item))
        } else {
            false // a subclass may iterate as it likes
        }
    }

    #[inline]
    fn read_one(&mut self, kind: u32, input: u32, given: &Bound<'_, PyAny>, is_checked: bool) -> Option<Given> {
        let py = given.py();
        let source = if given.is_instance_of::<OperationBase>() {
            self.only_output(given)?
        } else if given.is_exact_instance(self.classes.reference.bind(py)) {
            self.referred_output(given)?
        } else {
            let is_constant = is_checked
                || (self.kinds.layout(kind).surely_fits(input, given)
                    && !given.is_instance_of::<PyType>()
                    && !given.is_exact_instance(self.classes.function.bind(py)));
            return is_constant.then(|| Given::Constant(given.clone().unbind()));
        };
        match source {
            Given::Output { node, output } if !self.kinds.fit(self.kind_of[node as usize], output, kind, input) => None,
            source => Some(source),
        }
    }

    /// The only output of a node, or the one of a name, if it may be given to an input of a kind.
    #[inline]
    pub(crate) fn read_node(
        &mut self,
        kind: u32,
        input: u32,
        node: u32,
        name: Option<&Bound<'_, PyAny>>,
    ) -> Option<Given> {
        let source_kind = self.kind_of[node as usize];
        let layout = self.kinds.layout(source_kind);
        let output = match name {
            None => (layout.output_flags.len() == 1).then_some(0)?,
            Some(name) => layout.output(name)?,
        };
        self.kinds.fit(source_kind, output, kind, input).then_some(Given::Output { node, output })
    }

    /// Connects an input of a node to what it was given; `false` if it has its source already.
    #[inline]
    pub(crate) fn bind(&mut self, node: u32, input: u32, given: Given) -> Result<bool, GraphError> {
        match given {
            Given::Output { node: source, output } => self.graph.connect(NodeId(source), output, NodeId(node), input),
            Given::Constant(value) => {
                // Rows of a bulk call often share one.
                if self.constants.last().is_none_or(|last| !last.is(&value)) {
                    self.constants.push(value);
                }
                // An index beyond 32 bits is as much too large for the graph as the largest one within.
                let index = u32::try_from(self.constants.len() - 1).ok().filter(|&index| index < FIRST_GIVEN);
                self.graph.bind(NodeId(node), input, index.unwrap_or(u32::MAX))
            }
            Given::AtStart(number) => {
                self.given_count = self.given_count.max(number.saturating_add(1));
                self.graph.bind(NodeId(node), input, FIRST_GIVEN.saturating_add(number))
            }
        }
    }

    /// Makes room for further nodes.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.operations.reserve(count);
        self.kind_of.reserve(count);
    }

    /// Hands everything over to the garbage collector; only garbage refers to the graph by now.
    pub(crate) fn clear(&mut self) -> Removed {
        self.graph = Graph::new();
        self.kinds = Kinds::default();
        self.kind_of.clear();
        self.identities = Identities::default();
        let mut removed = std::mem::take(&mut self.operations);
        removed.append(&mut self.constants);
        Removed(removed)
    }

    /// Forgets the nodes and connections since a mark, after a step of several parts failed half-way.
    pub(crate) fn roll_back(&mut self, mark: dataflow_core::graph::Mark, nodes: usize, constants: usize) -> Removed {
        self.graph.roll_back(mark);
        let operations = &self.operations;
        if nodes < operations.len() {
            self.identities.truncate(nodes as u32, |node| operations[node as usize].as_ptr() as usize);
        }
        self.kind_of.truncate(nodes);
        let mut removed = self.operations.split_off(nodes.min(self.operations.len()));
        removed.append(&mut self.constants.split_off(constants.min(self.constants.len())));
        Removed(removed)
    }
}

/// Objects that the registry no longer holds: they are dropped when it is not borrowed, since `__del__` may use it.
#[must_use]
pub(crate) struct Removed(#[allow(dead_code)] Vec<Py<PyAny>>);
