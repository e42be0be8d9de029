//! The graph under construction, as Python sees it. Each method does what can be done without a call into Python; where
//! a mistake, a subclass or a first meeting needs one, it says so and the layer above goes the long way.

use dataflow_core::error::GraphError;
use dataflow_core::ids::NodeId;
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use smallvec::SmallVec;

use crate::bulk::{self, Before};
use crate::channels::new_channel;
use crate::composition;
use crate::functions::{self, Functions};
use crate::kept::intern;
use crate::layout::PortLayout;
use crate::nodes::nodes_of;
use crate::operation_base::OperationBase;
use crate::places::{self, Places};
use crate::reading;
use crate::registry::{Classes, Given, Registry};

/// The answer of `add` for an operation of a class or signature that was not declared.
const UNKNOWN_KIND: i64 = -1;
/// The answer of `add` for an operation that has a node.
const ADDED_BEFORE: i64 = -2;

/// Nodes, edges and constants, and the operation of each node.
#[pyclass(module = "execution_dataflow._core")]
pub(crate) struct GraphBuilder {
    pub(crate) registry: Registry,
    functions: Functions,
    pub(crate) places: Places,
    /// Counts the changes, so that a plan knows whether it is the latest.
    revision: u64,
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

#[pymethods]
impl GraphBuilder {
    /// A graph under construction. `home` is what the file names of the code begin with that calls this for others, and
    /// is passed over when a place is looked for; without it, none is.
    #[new]
    #[pyo3(signature = (channel, reference, function, function_operation, home=String::new()))]
    fn new(
        channel: Bound<'_, PyType>,
        reference: Bound<'_, PyType>,
        function: Bound<'_, PyType>,
        function_operation: Bound<'_, PyType>,
        home: String,
    ) -> PyResult<Self> {
        if !channel.is_subclass_of::<PyTuple>()? || !reference.is_subclass_of::<PyTuple>()? {
            return Err(PyValueError::new_err("channels and references are named tuples"));
        }
        functions::check_class(&function_operation)?;
        let classes = Classes {
            channel: channel.unbind(),
            reference: reference.unbind(),
            function: function.unbind(),
            function_operation: function_operation.unbind(),
        };
        Ok(Self {
            registry: Registry::new(classes),
            functions: Functions::default(),
            places: Places::new(home),
            revision: 0,
        })
    }

    #[getter]
    fn revision(&self) -> u64 {
        self.revision
    }

    /// Declares what operations of a class with a signature look like, and returns the number of that kind.
    fn add_kind(&mut self, class_: Py<PyAny>, signature: Py<PyAny>, layout: Py<PortLayout>) -> PyResult<u32> {
        let ports = layout.get();
        let shape = self.registry.graph.add_shape(&ports.input_flags, &ports.output_flags).map_err(graph_error)?;
        Ok(self.registry.kinds.add(class_, signature, layout, shape))
    }

    /// Remembers the decorated form of a function, whose operations are of a kind and have no options.
    fn learn_function(&mut self, function: Bound<'_, PyAny>, definition: Py<PyAny>, kind: u32) -> PyResult<()> {
        self.check_kind(kind)?;
        self.functions.learn(function, definition, kind);
        Ok(())
    }

    /// Whether a function was learned.
    fn knows_function(&self, function: &Bound<'_, PyAny>) -> bool {
        self.functions.find(function).is_some()
    }

    /// Adds an operation, and freezes its ports: its node, or a negative number that says why it was not added.
    fn add(slf: &Bound<'_, Self>, operation: &Bound<'_, PyAny>) -> PyResult<i64> {
        let known = match known_kind(slf, operation)? {
            Ok(known) => known,
            Err(why) => return Ok(why),
        };
        let kind = known.kind;
        known.freeze(operation)?;
        let here = places::here(slf);
        let mut this = slf.borrow_mut();
        this.revision += 1;
        let node = this.registry.push(operation.clone().unbind(), kind).map_err(graph_error)?;
        this.places.note(node, here);
        Ok(node.into())
    }

    /// Adds an operation or a function with what its inputs were given, and returns the operation; `None` if something
    /// about it takes Python code to decide, and then nothing was added.
    #[pyo3(signature = (operation, inputs, is_checked=false))]
    fn add_with<'py>(
        slf: &Bound<'py, Self>,
        operation: &Bound<'py, PyAny>,
        inputs: &Bound<'py, PyDict>,
        is_checked: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let mut this = slf.borrow_mut();
        let revision = this.revision;
        let (operation, known) = match this.functions.find(operation) {
            Some((definition, kind)) => {
                let class = this.registry.classes.function_operation.bind(py).clone();
                let signature = this.registry.kinds.layout(kind).signature.bind(py).clone();
                drop(this);
                (functions::new_operation(&class, &definition, &signature)?, KnownKind { kind, unfrozen: None })
            }
            None => {
                drop(this);
                match known_kind(slf, operation)? {
                    Ok(known) => (operation.clone(), known),
                    Err(_) => return Ok(None),
                }
            }
        };
        let kind = known.kind;
        let here = places::here(slf);
        let mut bindings: SmallVec<[(u32, Given); 4]> = SmallVec::new();
        this = slf.borrow_mut();
        for (name, given) in inputs.iter() {
            let Some(input) = this.registry.kinds.layout(kind).input(&name) else { return Ok(None) };
            let keep = &mut |given| bindings.push((input, given));
            if !this.registry.read(kind, input, &given, is_checked, keep) {
                return Ok(None);
            }
        }
        if known.unfrozen.is_some() {
            drop(this);
            known.freeze(&operation)?;
            this = slf.borrow_mut();
        }
        if this.revision != revision {
            return Ok(None); // the graph was changed by the making or freezing of the operation
        }
        this.revision += 1;
        let registry = &mut this.registry;
        let before = Before::of(registry);
        let added = registry.push(operation.clone().unbind(), kind).and_then(|node| {
            bindings.into_iter().try_for_each(|(input, given)| registry.bind(node, input, given).map(drop))?;
            Ok(node)
        });
        match added {
            Ok(node) => {
                this.places.note(node, here);
                Ok(Some(operation))
            }
            Err(error) => {
                let removed = before.restore(registry);
                drop(this);
                drop(removed);
                Err(graph_error(error))
            }
        }
    }

    /// Connects two operations by the names of their ports, and returns the channel; `None` if that takes Python code
    /// to decide, and then nothing was connected.
    fn connect<'py>(
        slf: &Bound<'py, Self>,
        source: &Bound<'py, PyAny>,
        source_port: &Bound<'py, PyAny>,
        target: &Bound<'py, PyAny>,
        target_port: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut this = slf.borrow_mut();
        if !this.link(source, source_port, target, target_port)? {
            return Ok(None);
        }
        let channel = this.registry.classes.channel.bind(slf.py()).clone();
        drop(this);
        new_channel(&channel, [source, source_port, target, target_port]).map(Some)
    }

    /// From now on an output of the kind of one node may be connected to an input of the kind of another.
    fn let_fit(&mut self, source: u32, output: u32, target_kind: u32, input: u32) -> PyResult<()> {
        self.check_kind(target_kind)?;
        let kind = *self
            .registry
            .kind_of
            .get(source as usize)
            .ok_or_else(|| PyIndexError::new_err(format!("there is no node {source}")))?;
        let inputs = self.registry.kinds.layout(target_kind).input_flags.len();
        let outputs = self.registry.kinds.layout(kind).output_flags.len();
        if output as usize >= outputs || input as usize >= inputs {
            return Err(PyIndexError::new_err("there is no such port"));
        }
        self.registry.kinds.let_fit(kind, output, target_kind, input);
        Ok(())
    }

    /// From now on nodes are added at `place`, whatever code does it; with `None`, where that code is.
    #[pyo3(signature = (place))]
    fn tell_place(slf: &Bound<'_, Self>, place: Option<Py<PyAny>>) {
        let before = slf.borrow_mut().places.tell(place);
        drop(before); // not borrowed any more: what it is may have a `__del__`
    }

    /// Where a node was added: the file, the line and the function, or what was told as its place, or `None`.
    fn place_of<'py>(&self, py: Python<'py>, node: u32) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.places.describe(py, node)
    }

    /// Lets a node run only after another one.
    fn order(&mut self, before: u32, after: u32) -> PyResult<()> {
        self.revision += 1;
        self.registry.graph.order(NodeId(before), NodeId(after)).map_err(graph_error)
    }

    /// The node of an operation, or -1.
    fn index_of(&self, operation: &Bound<'_, PyAny>) -> i64 {
        self.registry.find(operation.as_ptr()).map_or(-1, i64::from)
    }

    /// The kind of an operation that may be added; a negative number, as `add` gives it, for any other one.
    fn known_kind(slf: &Bound<'_, Self>, operation: &Bound<'_, PyAny>) -> PyResult<i64> {
        Ok(known_kind(slf, operation)?.map_or_else(|why| why, |known| known.kind.into()))
    }

    /// The kind of a node.
    fn kind_of(&self, node: u32) -> PyResult<u32> {
        let kind = self.registry.kind_of.get(node as usize);
        kind.copied().ok_or_else(|| PyIndexError::new_err(format!("there is no node {node}")))
    }

    /// The operation of a node.
    fn operation(&self, py: Python<'_>, node: u32) -> PyResult<Py<PyAny>> {
        let operation = self.registry.operations.get(node as usize);
        operation
            .map(|operation| operation.clone_ref(py))
            .ok_or_else(|| PyIndexError::new_err(format!("there is no node {node}")))
    }

    /// The operations of all nodes.
    fn operations<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.registry.operations)
    }

    fn source_of(&self, node: u32, port: u32) -> Vec<(u32, u32)> {
        let sources = self.registry.graph.sources_of(NodeId(node), port);
        sources.into_iter().map(|(node, port)| (node.0, port)).collect()
    }

    fn edges(&self) -> Vec<(u32, u32, u32, u32)> {
        let edges = self.registry.graph.edges();
        edges.map(|(source, out, target, input)| (source.0, out, target.0, input)).collect()
    }

    fn edge_count(&self) -> usize {
        self.registry.graph.edges_count()
    }

    fn orders(&self) -> Vec<(u32, u32)> {
        self.registry.graph.orders().map(|(before, after)| (before.0, after.0)).collect()
    }

    /// Required inputs without a source, in the order of nodes and ports.
    fn open_inputs(&self) -> Vec<(u32, u32)> {
        self.registry.graph.open_inputs().map(|(node, port)| (node.0, port)).collect()
    }

    /// Outputs that no channel leaves, in the order of nodes and ports.
    fn open_outputs(&self) -> Vec<(u32, u32)> {
        self.registry.graph.open_outputs().into_iter().map(|(node, port)| (node.0, port)).collect()
    }

    /// What the inputs of a node read: the index of each, with a source, in the order of connection.
    fn sources_into<'py>(slf: &Bound<'py, Self>, node: u32) -> PyResult<Vec<(u32, Bound<'py, PyTuple>)>> {
        composition::sources_into(slf, node)
    }

    /// The nodes whose operations are of these classes, in order.
    fn nodes_of_classes(slf: &Bound<'_, Self>, classes: &Bound<'_, PyTuple>) -> PyResult<Vec<u32>> {
        composition::nodes_of_classes(slf, classes)
    }

    /// Adds nodes of another builder; their operations may have nodes here already. Returns the first of them.
    fn copy_nodes(slf: &Bound<'_, Self>, other: &Bound<'_, Self>, first: usize, end: usize) -> PyResult<usize> {
        composition::copy_nodes(slf, other, first, end)
    }

    /// Adds the connections and constants of another builder between copies of its nodes.
    fn copy_links(
        slf: &Bound<'_, Self>,
        other: &Bound<'_, Self>,
        places: &[u8],
        instead: &Bound<'_, PyDict>,
        skipped: Vec<(u32, u32)>,
    ) -> PyResult<()> {
        composition::copy_links(slf, other, places, instead, skipped)
    }

    /// Gives an input of a node a further source.
    fn bind_source(slf: &Bound<'_, Self>, node: u32, port: u32, source: &Bound<'_, PyTuple>) -> PyResult<()> {
        composition::bind_source(slf, node, port, source)
    }

    /// Adds an operation for each row: of a function, or those of a list. Columns are as `bulk.rs` describes them, and
    /// `vouch` has `operation(row, operation)`, `twice(row, operation)` and `input(row, operation, name, given)`,
    /// which raise where they find a mistake. Returns the first node.
    fn add_rows(
        slf: &Bound<'_, Self>,
        operations: &Bound<'_, PyAny>,
        count: usize,
        columns: &Bound<'_, PyTuple>,
        vouch: &Bound<'_, PyAny>,
    ) -> PyResult<u32> {
        bulk::add_rows(slf, operations, count, columns, vouch)
    }

    /// Connects an output of each source to an input of each target; `vouch` has `channel(row, source, target)`.
    /// Returns `None`, or the first row whose input has its source already, that source, and the target.
    fn connect_rows(
        slf: &Bound<'_, Self>,
        sources: &Bound<'_, PyAny>,
        source_port: &Bound<'_, PyAny>,
        targets: &Bound<'_, PyAny>,
        target_port: &Bound<'_, PyAny>,
        vouch: &Bound<'_, PyAny>,
    ) -> PyResult<Option<bulk::Obstacle>> {
        bulk::connect_rows(slf, sources, source_port, targets, target_port, vouch)
    }

    /// The nodes of operations, as bytes of native 32-bit numbers; the place of the first that has none instead.
    fn nodes_of<'py>(&self, operations: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyAny>> {
        nodes_of(&self.registry, operations)
    }

    /// The plan, or `None` with the faults of the whole; and the operations that have a name.
    fn compile<'py>(
        slf: &Bound<'py, Self>,
        resolve: &Bound<'py, PyAny>,
        specs: &Bound<'py, PyList>,
    ) -> PyResult<reading::Compiled<'py>> {
        reading::compile(slf, resolve, specs)
    }

    fn __len__(&self) -> usize {
        self.registry.operations.len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Registry { operations, constants, kinds, classes, .. } = &self.registry;
        operations.iter().chain(constants).try_for_each(|object| visit.call(object))?;
        kinds.traverse(&visit)?;
        self.functions.traverse(&visit)?;
        self.places.traverse(&visit)?;
        [&classes.channel, &classes.reference, &classes.function, &classes.function_operation]
            .into_iter()
            .try_for_each(|class| visit.call(class))
    }

    fn __clear__(&mut self) {
        drop(self.registry.clear());
        drop(self.places.take());
        self.functions = Functions::default();
    }
}

impl GraphBuilder {
    pub(crate) fn changed(&mut self) {
        self.revision += 1;
    }

    fn check_kind(&self, kind: u32) -> PyResult<()> {
        if (kind as usize) < self.registry.kinds.len() {
            Ok(())
        } else {
            Err(PyIndexError::new_err(format!("there is no kind {kind}")))
        }
    }

    pub(crate) fn known_function<'py>(&self, function: &Bound<'py, PyAny>) -> Option<(Bound<'py, PyAny>, u32)> {
        self.functions.find(function)
    }

    #[inline]
    pub(crate) fn kinds_of(&self, source: u32, target: u32) -> (u32, u32) {
        (self.registry.kind_of[source as usize], self.registry.kind_of[target as usize])
    }

    /// The output and the input of those names, if they exist and are known to fit.
    #[inline]
    pub(crate) fn ports_that_fit(
        &mut self,
        source: u32,
        source_port: &Bound<'_, PyAny>,
        target: u32,
        target_port: &Bound<'_, PyAny>,
    ) -> Option<(u32, u32)> {
        let (source_kind, target_kind) = self.kinds_of(source, target);
        let kinds = &mut self.registry.kinds;
        let output = kinds.layout(source_kind).output(source_port)?;
        let input = kinds.layout(target_kind).input(target_port)?;
        let may = source != target && kinds.fit(source_kind, output, target_kind, input);
        may.then_some((output, input))
    }

    #[inline]
    fn link(
        &mut self,
        source: &Bound<'_, PyAny>,
        source_port: &Bound<'_, PyAny>,
        target: &Bound<'_, PyAny>,
        target_port: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let registry = &self.registry;
        let (Some(source), Some(target)) = (registry.find(source.as_ptr()), registry.find(target.as_ptr())) else {
            return Ok(false);
        };
        let Some((output, input)) = self.ports_that_fit(source, source_port, target, target_port) else {
            return Ok(false);
        };
        self.revision += 1;
        self.registry.graph.connect(NodeId(source), output, NodeId(target), input).map_err(graph_error)
    }
}

/// The kind of an operation, and its signature in frozen form if the operation has it in another one.
pub(crate) struct KnownKind<'py> {
    pub(crate) kind: u32,
    unfrozen: Option<Bound<'py, PyAny>>,
}

impl KnownKind<'_> {
    /// Fixes the ports of the operation.
    #[inline]
    fn freeze(self, operation: &Bound<'_, PyAny>) -> PyResult<()> {
        match self.unfrozen {
            Some(signature) => operation.setattr(intern!(operation.py(), "_ports"), signature),
            None => Ok(()),
        }
    }
}

/// The kind of an operation that may be added; otherwise the answer that `add` gives.
#[inline]
pub(crate) fn known_kind<'py>(
    slf: &Bound<'py, GraphBuilder>,
    operation: &Bound<'py, PyAny>,
) -> PyResult<Result<KnownKind<'py>, i64>> {
    let py = slf.py();
    if !operation.is_instance_of::<OperationBase>() {
        return Ok(Err(UNKNOWN_KIND));
    }
    let signature = operation.getattr(intern!(py, "_ports"))?;
    let mut this = slf.borrow_mut();
    let registry = &mut this.registry;
    let class = operation.get_type_ptr() as usize;
    let Some(kind) = registry.kinds.find(class, signature.as_ptr() as usize) else {
        return Ok(Err(UNKNOWN_KIND));
    };
    if registry.find(operation.as_ptr()).is_some() {
        return Ok(Err(ADDED_BEFORE));
    }
    let frozen = registry.kinds.layout(kind).signature.bind(py);
    let unfrozen = (!frozen.is(&signature)).then(|| frozen.clone());
    Ok(Ok(KnownKind { kind, unfrozen }))
}
