//! The options of operations, read when a graph is compiled, and the plan that follows.
#![allow(unsafe_code)]

use dataflow_core::ids::NodeId;
use dataflow_core::plan::Plan;
use dataflow_core::validate::{CycleEdge, Fault, validate};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple, PyType};

use crate::builder::GraphBuilder;
use crate::kept::{Kept, intern};
use crate::kinds::SpreadMap;
use crate::node_spec::NodeSpec;
use crate::plan::{Program, PyPlan};

/// A plan if there are no faults, the faults of the shape of the graph, and the operations that have a name.
pub(crate) type Compiled<'py> = (Option<PyPlan>, Vec<Bound<'py, PyTuple>>, Bound<'py, PyList>);

/// Compiles a graph. `resolve(operation)` is asked once for each combination of kind and options; it gives the place of
/// the spec in `specs`, or -1 for an operation that cannot run.
pub(crate) fn compile<'py>(
    slf: &Bound<'py, GraphBuilder>,
    resolve: &Bound<'py, PyAny>,
    specs: &Bound<'py, PyList>,
) -> PyResult<Compiled<'py>> {
    let py = slf.py();
    let mut reading = Reading::new(resolve);
    loop {
        let (unread, kinds) = {
            let this = slf.borrow();
            let from = reading.spec_of.len();
            let unread: Vec<_> =
                this.registry.operations[from..].iter().map(|operation| operation.bind(py).clone()).collect();
            (unread, this.registry.kind_of[from..].to_vec())
        };
        // Options may be properties: nothing is borrowed while they are read, and the graph may grow meanwhile.
        for (operation, kind) in unread.iter().zip(kinds) {
            reading.read(operation, kind)?;
        }
        let this = slf.borrow();
        if this.registry.operations.len() > reading.spec_of.len() {
            continue;
        }
        let graph = &this.registry.graph;
        if reading.has_faults {
            let faults = py.detach(|| validate(graph));
            return Ok((None, faults_to_python(py, faults)?, reading.named));
        }
        let specs: Vec<Py<NodeSpec>> = specs.extract()?;
        return match py.detach(|| Plan::compile_prioritised(graph, &reading.priorities)) {
            Ok(plan) => {
                let plan = with_always_run(plan, &specs, &reading.spec_of);
                let clone = |objects: &[Py<PyAny>]| objects.iter().map(|object| object.clone_ref(py)).collect();
                let (operations, constants) = (clone(&this.registry.operations), clone(&this.registry.constants));
                let program =
                    Program::new(graph, specs, reading.spec_of, operations, constants, this.registry.given_count)?;
                Ok((Some(PyPlan::new(plan, program)), Vec::new(), reading.named))
            }
            Err(faults) => Ok((None, faults_to_python(py, faults)?, reading.named)),
        };
    }
}

fn with_always_run(plan: Plan, specs: &[Py<NodeSpec>], spec_of: &[u32]) -> Plan {
    let always: Vec<bool> = specs.iter().map(|spec| spec.get().always_runs).collect();
    if !always.contains(&true) {
        return plan;
    }
    let nodes = spec_of.iter().enumerate().filter(|&(_, &spec)| always.get(spec as usize) == Some(&true));
    plan.with_always_run(nodes.map(|(node, _)| NodeId(node as u32)))
}

/// What tells operations of one kind apart: the function, the retry policy, the executor and the other settings, by their
/// addresses.
type Options = (u32, [usize; 4]);

struct Reading<'a, 'py> {
    resolve: &'a Bound<'py, PyAny>,
    spec_of: Vec<u32>,
    named: Bound<'py, PyList>,
    /// Those that are not 0, which is the priority of nearly all.
    priorities: Vec<(NodeId, i64)>,
    zero: Bound<'py, PyAny>,
    has_faults: bool,
    known: SpreadMap<Options, i64>,
    latest: Option<(Options, i64)>,
    /// What the addresses belong to: while it lives, nothing else has them.
    kept: Vec<[Bound<'py, PyAny>; 4]>,
}

impl<'a, 'py> Reading<'a, 'py> {
    fn new(resolve: &'a Bound<'py, PyAny>) -> Self {
        Self {
            resolve,
            spec_of: Vec::new(),
            named: PyList::empty(resolve.py()),
            priorities: Vec::new(),
            zero: 0_i64.into_pyobject(resolve.py()).unwrap_or_else(|never| match never {}).into_any(),
            has_faults: false,
            known: SpreadMap::default(),
            latest: None,
            kept: Vec::new(),
        }
    }

    #[inline]
    fn read(&mut self, operation: &Bound<'py, PyAny>, kind: u32) -> PyResult<()> {
        let py = operation.py();
        let options = [
            method_of_class(operation, operation.getattr(intern!(py, "execute"))?)?,
            operation.getattr(intern!(py, "retry_policy"))?,
            operation.getattr(intern!(py, "executor"))?,
            operation.getattr(intern!(py, "_settings"))?,
        ];
        if !operation.getattr(intern!(py, "name"))?.is_none() {
            self.named.append(operation)?;
        }
        let priority = operation.getattr(intern!(py, "priority"))?;
        if !priority.is(&self.zero) {
            static PRIORITY_OF: Kept<Py<PyAny>> = Kept::new();
            let of = PRIORITY_OF.get_or_make(|| -> PyResult<_> {
                Ok(py.import("execution_dataflow.priorities")?.getattr("priority_of")?.unbind())
            })?;
            let priority = of.bind(py).call1((operation,))?.extract()?;
            self.priorities.push((NodeId(self.spec_of.len() as u32), priority));
        }
        let key = (kind, options.each_ref().map(|option| option.as_ptr() as usize));
        let spec = match self.latest {
            Some((latest, spec)) if latest == key => spec,
            _ => self.look_up(key, operation, options)?,
        };
        self.latest = Some((key, spec));
        match u32::try_from(spec) {
            Ok(spec) => self.spec_of.push(spec),
            Err(_) => {
                self.has_faults = true;
                self.spec_of.push(u32::MAX);
            }
        }
        Ok(())
    }

    fn look_up(
        &mut self,
        key: Options,
        operation: &Bound<'py, PyAny>,
        options: [Bound<'py, PyAny>; 4],
    ) -> PyResult<i64> {
        if let Some(&spec) = self.known.get(&key) {
            return Ok(spec);
        }
        let spec = self.resolve.call1((operation,))?.extract()?;
        self.known.insert(key, spec);
        self.kept.push(options);
        Ok(spec)
    }
}

static METHOD_TYPE: Kept<Py<PyType>> = Kept::new();

/// The head of a bound method, as `cpython/classobject.h` has declared it in all versions of Python 3.
#[repr(C)]
struct MethodObject {
    head: ffi::PyObject,
    function: *mut ffi::PyObject,
    object: *mut ffi::PyObject,
}

/// The function that all instances share, for a method of the operation; anything else as it is.
#[inline]
fn method_of_class<'py>(operation: &Bound<'py, PyAny>, execute: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = operation.py();
    if !execute.is_exact_instance(METHOD_TYPE.import(py, "types", "MethodType")?) {
        return Ok(execute);
    }
    let method = execute.as_ptr().cast::<MethodObject>();
    // SAFETY: attached, and the object is exactly a bound method, whose fields are set when it is made and never change.
    let (function, object) = unsafe { ((*method).function, (*method).object) };
    if object != operation.as_ptr() {
        return Ok(execute);
    }
    // SAFETY: the method owns a reference to its function and is alive.
    Ok(unsafe { Bound::from_borrowed_ptr(py, function) })
}

fn faults_to_python(py: Python<'_>, faults: Vec<Fault>) -> PyResult<Vec<Bound<'_, PyTuple>>> {
    faults.into_iter().map(|fault| fault_to_python(py, fault)).collect()
}

fn fault_to_python(py: Python<'_>, fault: Fault) -> PyResult<Bound<'_, PyTuple>> {
    match fault {
        Fault::Unconnected { node, port } => ("unconnected", (node.0, port)).into_pyobject(py),
        Fault::Cycle { edges } => {
            let port = |port: Option<u32>| port.map_or(-1, i64::from);
            let edge = |e: &CycleEdge| (e.source.0, port(e.source_port), e.target.0, port(e.target_port));
            ("cycle", edges.iter().map(edge).collect::<Vec<_>>()).into_pyobject(py)
        }
    }
}
