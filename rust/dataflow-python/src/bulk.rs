//! Many operations and many channels in one call; all of them or none. What takes Python code to decide is vouched for
//! row by row by the layer above, which raises where it finds a mistake; then the graph grows without a call into
//! Python, so that nobody ever sees a half of it.
#![allow(unsafe_code)]

use dataflow_core::graph::Mark;
use dataflow_core::ids::NodeId;
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::builder::{GraphBuilder, graph_error, known_kind};
use crate::functions;
use crate::kept::intern;
use crate::kinds::SpreadMap;
use crate::nodes::Nodes;
use crate::places;
use crate::registry::{Given, Registry, Removed};

/// What the rows give to one input.
pub(crate) struct Column<'py> {
    name: Bound<'py, PyString>,
    cells: Cells<'py>,
}

enum Cells<'py> {
    /// The same for every row.
    Same(Bound<'py, PyAny>),
    /// An item for each row, as `graph.add` takes them.
    Each(Bound<'py, PyList>),
    /// A node for each row, and which of its outputs; its only one without a name.
    Nodes(Nodes, Option<Bound<'py, PyAny>>),
}

impl<'py> Column<'py> {
    /// From `(name, "same", value, None)`, `(name, "each", list, None)` or `(name, "nodes", nodes, output name or None)`.
    fn from_python(column: &Bound<'py, PyAny>, rows: usize, limit: usize) -> PyResult<Self> {
        let column = column.cast::<PyTuple>()?;
        let (name, what, payload, output): (Bound<'py, PyString>, String, Bound<'py, PyAny>, Bound<'py, PyAny>) =
            column.extract()?;
        let (cells, count) = match what.as_str() {
            "same" => (Cells::Same(payload), rows),
            "each" => {
                let list = payload.cast_into::<PyList>()?;
                let count = list.len();
                (Cells::Each(list), count)
            }
            "nodes" => {
                let nodes = Nodes::from_python(&payload, limit)?;
                let count = nodes.len();
                (Cells::Nodes(nodes, (!output.is_none()).then_some(output)), count)
            }
            other => return Err(PyValueError::new_err(format!("a column is same, each or nodes, not {other:?}"))),
        };
        if count != rows {
            return Err(PyValueError::new_err(format!("a column of {count} for {rows} rows")));
        }
        Ok(Self { name, cells })
    }
}

/// One connection that was found to be right: the row, its input and the source.
type Binding = (u32, u32, Given);

/// The rows that are to be added.
struct Rows<'py> {
    operations: Vec<Bound<'py, PyAny>>,
    kinds: RowKinds,
}

enum RowKinds {
    One(u32),
    Each(Vec<u32>),
}

impl RowKinds {
    #[inline]
    fn at(&self, row: usize) -> u32 {
        match self {
            Self::One(kind) => *kind,
            Self::Each(kinds) => kinds[row],
        }
    }
}

/// Adds `count` operations of a function, or those of a list; returns the first node.
pub(crate) fn add_rows(
    slf: &Bound<'_, GraphBuilder>,
    operations: &Bound<'_, PyAny>,
    count: usize,
    columns: &Bound<'_, PyTuple>,
    vouch: &Bound<'_, PyAny>,
) -> PyResult<u32> {
    let limit = slf.borrow().registry.operations.len();
    let columns =
        columns.iter().map(|column| Column::from_python(&column, count, limit)).collect::<PyResult<Vec<_>>>()?;
    u32::try_from(count).map_err(|_| PyValueError::new_err("a graph has at most 2**32 operations"))?;
    let rows = match operations.cast::<PyList>() {
        Ok(list) => given_operations(slf, list, count, vouch)?,
        Err(_) => new_operations(slf, operations, count)?,
    };
    let mut bindings = Vec::new();
    for column in &columns {
        read_column(slf, column, &rows, vouch, &mut bindings)?;
    }
    let here = places::here(slf);
    let mut this = slf.borrow_mut();
    let before = Before::of(&this.registry);
    let added = grow(&mut this.registry, rows, bindings);
    let outcome = match added {
        Ok(unfrozen) => {
            this.changed();
            if count > 0 {
                this.places.note(before.nodes as u32, here);
            }
            drop(this);
            unfrozen
                .into_iter()
                .try_for_each(|(operation, frozen)| operation.setattr(intern!(operation.py(), "_ports"), frozen))
        }
        Err(refused) => {
            let removed = before.restore(&mut this.registry);
            drop(this);
            drop(removed);
            match refused {
                Refused::Graph(error) => Err(error),
                Refused::Twice(row, operation) => vouch
                    .call_method1(intern!(vouch.py(), "twice"), (row, operation))
                    .and(Err(PyRuntimeError::new_err("an operation was given twice"))),
            }
        }
    };
    outcome.map(|()| before.nodes as u32)
}

fn given_operations<'py>(
    slf: &Bound<'py, GraphBuilder>,
    list: &Bound<'py, PyList>,
    count: usize,
    vouch: &Bound<'py, PyAny>,
) -> PyResult<Rows<'py>> {
    let operations: Vec<_> = list.iter().collect();
    if operations.len() != count {
        return Err(PyValueError::new_err(format!("{} operations for {count} rows", operations.len())));
    }
    let mut kinds = Vec::with_capacity(count);
    for (row, operation) in operations.iter().enumerate() {
        let kind = match known_kind(slf, operation)? {
            Ok(known) => known.kind,
            Err(_) => {
                vouch.call_method1(intern!(vouch.py(), "operation"), (row, operation))?;
                let known = known_kind(slf, operation)?;
                known.map_err(|_| PyRuntimeError::new_err("an operation was vouched for and is unknown"))?.kind
            }
        };
        kinds.push(kind);
    }
    Ok(Rows { operations, kinds: RowKinds::Each(kinds) })
}

/// Operations of a function that the builder knows.
fn new_operations<'py>(
    slf: &Bound<'py, GraphBuilder>,
    function: &Bound<'py, PyAny>,
    count: usize,
) -> PyResult<Rows<'py>> {
    let py = slf.py();
    let this = slf.borrow();
    let Some((definition, kind)) = this.known_function(function) else {
        return Err(PyValueError::new_err("the function was not learned"));
    };
    let class = this.registry.classes.function_operation.bind(py).clone();
    let signature = this.registry.kinds.layout(kind).signature.bind(py).clone();
    drop(this);
    let _pause = CollectorPause::new();
    let operations = (0..count).map(|_| functions::new_operation(&class, &definition, &signature));
    Ok(Rows { operations: operations.collect::<PyResult<_>>()?, kinds: RowKinds::One(kind) })
}

/// The cyclic garbage collector rests while many objects are made that are no garbage: it would look at all of them
/// again and again.
struct CollectorPause {
    was_enabled: bool,
}

impl CollectorPause {
    fn new() -> Self {
        // SAFETY: whoever has a `Bound` is attached.
        Self { was_enabled: unsafe { ffi::PyGC_Disable() } != 0 }
    }
}

impl Drop for CollectorPause {
    fn drop(&mut self) {
        if self.was_enabled {
            // SAFETY: as above; the pause does not outlive the call that made it.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}

fn read_column(
    slf: &Bound<'_, GraphBuilder>,
    column: &Column<'_>,
    rows: &Rows<'_>,
    vouch: &Bound<'_, PyAny>,
    bindings: &mut Vec<Binding>,
) -> PyResult<()> {
    bindings.reserve_exact(rows.operations.len());
    let mut this = slf.borrow_mut();
    let mut latest: Option<(u32, u32)> = None;
    for (row, operation) in rows.operations.iter().enumerate() {
        let kind = rows.kinds.at(row);
        let input = match latest {
            Some((latest, input)) if latest == kind => Some(input),
            _ => this.registry.kinds.layout(kind).input(&column.name),
        };
        latest = input.map(|input| (kind, input));
        let start = bindings.len();
        let is_read =
            input.is_some_and(|input| read_cell(&mut this.registry, kind, input, &column.cells, row, bindings));
        if is_read {
            continue;
        }
        bindings.truncate(start);
        drop(this);
        let given = column.cells.for_vouching(slf, row)?;
        let given = vouch.call_method1(intern!(vouch.py(), "input"), (row, operation, &column.name, given))?;
        this = slf.borrow_mut();
        let input = this.registry.kinds.layout(kind).input(&column.name);
        let mut read = |input| {
            this.registry.read(kind, input, &given, true, &mut |given| bindings.push((row as u32, input, given)))
        };
        if !input.is_some_and(&mut read) {
            return Err(PyRuntimeError::new_err("an input was vouched for and cannot be read"));
        }
    }
    Ok(())
}

#[inline]
fn read_cell(
    registry: &mut Registry,
    kind: u32,
    input: u32,
    cells: &Cells<'_>,
    row: usize,
    bindings: &mut Vec<Binding>,
) -> bool {
    let mut keep = |given: Given| bindings.push((row as u32, input, given));
    match cells {
        Cells::Same(given) => registry.read(kind, input, given, false, &mut keep),
        Cells::Each(list) => match list.get_item(row) {
            Ok(given) => registry.read(kind, input, &given, false, &mut keep),
            Err(_) => false,
        },
        Cells::Nodes(nodes, name) => {
            registry.read_node(kind, input, nodes.at(row), name.as_ref()).map(&mut keep).is_some()
        }
    }
}

impl<'py> Cells<'py> {
    /// What a row was given, in the form that `graph.add` takes.
    fn for_vouching(&self, slf: &Bound<'py, GraphBuilder>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Same(given) => Ok(given.clone()),
            Self::Each(list) => list.get_item(row),
            Self::Nodes(nodes, name) => {
                let py = slf.py();
                let operation = slf.borrow().registry.operations[nodes.at(row) as usize].bind(py).clone();
                match name {
                    None => Ok(operation),
                    Some(name) => operation.call_method1(intern!(py, "output"), (name,)),
                }
            }
        }
    }
}

/// How large the registry was.
pub(crate) struct Before {
    mark: Mark,
    nodes: usize,
    constants: usize,
}

impl Before {
    pub(crate) fn of(registry: &Registry) -> Self {
        let (nodes, constants) = (registry.operations.len(), registry.constants.len());
        Self { mark: registry.graph.mark(), nodes, constants }
    }

    pub(crate) fn restore(&self, registry: &mut Registry) -> Removed {
        registry.roll_back(self.mark, self.nodes, self.constants)
    }
}

enum Refused<'py> {
    Graph(PyErr),
    Twice(usize, Bound<'py, PyAny>),
}

type Unfrozen<'py> = Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>;

/// Adds the rows and connects them, without a call into Python; returns the operations that are to be frozen.
fn grow<'py>(registry: &mut Registry, rows: Rows<'py>, bindings: Vec<Binding>) -> Result<Unfrozen<'py>, Refused<'py>> {
    let refused = |error| Refused::Graph(graph_error(error));
    let first = registry.operations.len() as u32;
    let mut unfrozen = Vec::new();
    registry.reserve(rows.operations.len());
    match rows.kinds {
        RowKinds::One(kind) => {
            let count = rows.operations.len();
            registry.graph.add_nodes(registry.kinds.get(kind).shape, count).map_err(refused)?;
            for (node, operation) in (first..).zip(rows.operations) {
                registry.adopt(operation.unbind(), kind, node);
            }
        }
        RowKinds::Each(kinds) => {
            for (row, (kind, operation)) in kinds.into_iter().zip(rows.operations).enumerate() {
                if registry.find(operation.as_ptr()).is_some() {
                    return Err(Refused::Twice(row, operation));
                }
                let frozen = registry.kinds.layout(kind).signature.bind(operation.py()).clone();
                registry.push(operation.clone().unbind(), kind).map_err(refused)?;
                unfrozen.push((operation, frozen));
            }
        }
    }
    for (row, input, given) in bindings {
        registry.bind(first + row, input, given).map_err(refused)?;
    }
    Ok(unfrozen)
}

/// Why a row cannot be connected: its place, the outputs that feed its input already, and its target.
pub(crate) type Obstacle = (usize, Vec<(u32, u32)>, u32);

/// Connects an output of each source to an input of each target.
pub(crate) fn connect_rows(
    slf: &Bound<'_, GraphBuilder>,
    sources: &Bound<'_, PyAny>,
    source_port: &Bound<'_, PyAny>,
    targets: &Bound<'_, PyAny>,
    target_port: &Bound<'_, PyAny>,
    vouch: &Bound<'_, PyAny>,
) -> PyResult<Option<Obstacle>> {
    let limit = slf.borrow().registry.operations.len();
    let (sources, targets) = (Nodes::from_python(sources, limit)?, Nodes::from_python(targets, limit)?);
    if sources.len() != targets.len() {
        return Err(PyIndexError::new_err(format!("{} sources for {} targets", sources.len(), targets.len())));
    }
    let mut ports: SpreadMap<u64, (u32, u32)> = SpreadMap::default();
    let mut latest = None;
    let mut this = slf.borrow_mut();
    for row in 0..sources.len() {
        let (source, target) = (sources.at(row), targets.at(row));
        let kinds = this.kinds_of(source, target);
        if source != target && (latest == Some(kinds) || ports.contains_key(&key_of(kinds))) {
            latest = Some(kinds);
            continue;
        }
        let mut found = this.ports_that_fit(source, source_port, target, target_port);
        if found.is_none() {
            drop(this);
            vouch.call_method1(intern!(vouch.py(), "channel"), (row, source, target))?;
            this = slf.borrow_mut();
            found = this.ports_that_fit(source, source_port, target, target_port);
        }
        let found = found.ok_or_else(|| PyRuntimeError::new_err("a channel was vouched for and cannot be made"))?;
        ports.insert(key_of(kinds), found);
    }
    let before = Before::of(&this.registry);
    let mut latest = None;
    for row in 0..sources.len() {
        let (source, target) = (sources.at(row), targets.at(row));
        let kinds = this.kinds_of(source, target);
        let (output, input) = match latest {
            Some((latest, found)) if latest == kinds => found,
            _ => ports[&key_of(kinds)],
        };
        latest = Some((kinds, (output, input)));
        let graph = &mut this.registry.graph;
        match graph.connect(NodeId(source), output, NodeId(target), input) {
            Ok(true) => {}
            Ok(false) => {
                let present = graph.sources_of(NodeId(target), input);
                let removed = before.restore(&mut this.registry);
                drop(this);
                drop(removed);
                let present = present.into_iter().map(|(node, output)| (node.0, output)).collect();
                return Ok(Some((row, present, target)));
            }
            Err(error) => {
                let removed = before.restore(&mut this.registry);
                drop(this);
                drop(removed);
                return Err(graph_error(error));
            }
        }
    }
    this.changed();
    Ok(None)
}

fn key_of((source, target): (u32, u32)) -> u64 {
    u64::from(source) << 32 | u64::from(target)
}
