//! What all nodes of one class and one set of options have in common: how they are called and what their ports declare.

use std::sync::atomic::{AtomicU32, Ordering};

use dataflow_core::graph::{INPUT_MANY, INPUT_MUTABLE};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::checks::Check;
use crate::kept::intern;
use crate::map_spec::MapSpec;
use crate::missing::Missing;
use crate::python_errors;
use crate::value_sizes::OutputSize;

/// How the callable of a node takes its inputs.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum CallKind {
    /// `function(operation, context)`; ports are reached through the frame.
    Method,
    /// `function(*inputs)`.
    Function,
}

/// Where the attempts of a node run, as far as its operation says: from what stays on the worker to what leaves it.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// On the worker that takes it.
    Here,
    /// Where the engine says.
    Unnamed,
    /// In a worker process.
    Process,
    /// On an event loop: a coroutine.
    Loop,
}

/// What comes of an attempt of a node, in the place of a call that commits its outputs.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Expands {
    /// Nothing: most nodes.
    Nothing,
    /// An attempt for each item of its sources: a map.
    Items,
    /// The graph that the call returns: a dynamic operation.
    Graph,
    /// One plan after another: a loop.
    Iterations,
}

/// The immutable description shared by nodes of one kind.
#[pyclass(frozen, module = "execution_dataflow._core")]
pub(crate) struct NodeSpec {
    #[pyo3(get)]
    pub(crate) label: String,
    pub(crate) kind: CallKind,
    pub(crate) function: Py<PyAny>,
    #[pyo3(get)]
    pub(crate) input_names: Py<PyTuple>,
    pub(crate) input_flags: Box<[u8]>,
    pub(crate) input_checks: Box<[Check]>,
    pub(crate) input_defaults: Box<[Option<Py<PyAny>>]>,
    #[pyo3(get)]
    pub(crate) output_names: Py<PyTuple>,
    pub(crate) output_flags: Box<[u8]>,
    pub(crate) output_checks: Box<[Check]>,
    /// Which input each argument of a function is; -1 for the context.
    pub(crate) arguments: Box<[i32]>,
    pub(crate) keyword_names: Option<Py<PyTuple>>,
    pub(crate) keyword_count: usize,
    /// The arguments of the function are its inputs, in the order of ports.
    pub(crate) takes_ports_in_order: bool,
    /// No input takes many values, may be written or has named dimensions: values are passed as they lie in their slots.
    pub(crate) takes_values_as_they_are: bool,
    pub(crate) spread: bool,
    /// One output without named dimensions; what a function returns is its value.
    pub(crate) has_one_output: bool,
    #[pyo3(get)]
    pub(crate) is_coroutine: bool,
    pub(crate) place: Place,
    #[pyo3(get)]
    pub(crate) retry_policy: Option<Py<PyAny>>,
    #[pyo3(get)]
    pub(crate) max_attempts: u32,
    /// The Python `OperationSettings`.
    #[pyo3(get)]
    pub(crate) settings: Py<PyAny>,
    /// How long one attempt may take.
    pub(crate) timeout: Option<std::time::Duration>,
    pub(crate) expands: Expands,
    /// Of a node that runs its operation once for each item.
    pub(crate) map: Option<Py<MapSpec>>,
    /// The Python `Fallback` that stands in for it when it has failed; it keeps the spec of an operation that does.
    #[pyo3(get)]
    pub(crate) fallback: Option<Py<PyAny>>,
    /// Whether it runs whatever becomes of what it waits for, and of the run.
    pub(crate) always_runs: bool,
    /// Compares the lengths of the named dimensions of its arrays; see `dimensions.rs`.
    #[pyo3(get)]
    pub(crate) dimensions: Option<Py<PyAny>>,
    /// The Python level of contracts that it was made for.
    #[pyo3(get)]
    pub(crate) contracts: String,
    pub(crate) duration: Duration,
    pub(crate) output_size: OutputSize,
}

/// How long attempts took of late, in nanoseconds; 0 when none has ended yet.
///
/// Two guesses, each of which moves quickly in one direction and slowly in the other: a function that takes long now and
/// then counts as one that takes long, and one that had to wait for the interpreter as one that may be back sooner.
/// Relaxed throughout: hints, and an update that is lost changes little. They are written seldom, because workers share
/// the line.
#[derive(Default)]
pub(crate) struct Duration {
    longest: AtomicU32,
    shortest: AtomicU32,
}

impl Duration {
    /// What the next attempt is unlikely to exceed.
    #[inline]
    pub(crate) fn longest(&self) -> u32 {
        self.longest.load(Ordering::Relaxed)
    }

    /// What the next attempt is unlikely to fall below.
    pub(crate) fn shortest(&self) -> u32 {
        self.shortest.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn note(&self, nanoseconds: u64) {
        let took = u32::try_from(nanoseconds).unwrap_or(u32::MAX).max(1);
        let (longest, shortest) = (self.longest(), self.shortest());
        if took > longest {
            // One that is far out may have lost its processor: only the next ones show whether that goes on.
            let most = if longest == 0 { took } else { longest.saturating_mul(4) };
            self.longest.store(took.min(most), Ordering::Relaxed);
        } else if took < longest / 2 {
            self.longest.store(longest - longest / 8, Ordering::Relaxed);
        }
        if took < shortest || shortest == 0 {
            self.shortest.store(took, Ordering::Relaxed);
        } else if took / 2 > shortest {
            self.shortest.store(shortest + shortest / 8 + 1, Ordering::Relaxed);
        }
    }
}

#[pymethods]
impl NodeSpec {
    #[new]
    #[pyo3(signature = (*, label, kind, function, input_names, input_flags, input_checks, input_defaults, output_names,
        output_flags, output_checks, settings, arguments=vec![], keyword_names=None, spread=false, is_coroutine=false,
        executor=None, retry_policy=None, max_attempts=1, map=None, fallback=None, expands=None,
        dimensions=None, contracts="values".to_owned()))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        label: String,
        kind: &str,
        function: Py<PyAny>,
        input_names: Bound<'_, PyTuple>,
        input_flags: Bound<'_, PyBytes>,
        input_checks: Vec<Bound<'_, PyAny>>,
        input_defaults: Vec<Bound<'_, PyAny>>,
        output_names: Bound<'_, PyTuple>,
        output_flags: Bound<'_, PyBytes>,
        output_checks: Vec<Bound<'_, PyAny>>,
        settings: Py<PyAny>,
        arguments: Vec<i32>,
        keyword_names: Option<Bound<'_, PyTuple>>,
        spread: bool,
        is_coroutine: bool,
        executor: Option<&str>,
        retry_policy: Option<Py<PyAny>>,
        max_attempts: u32,
        map: Option<Py<MapSpec>>,
        fallback: Option<Py<PyAny>>,
        expands: Option<&str>,
        dimensions: Option<Py<PyAny>>,
        contracts: String,
    ) -> PyResult<Self> {
        let kind = match kind {
            "method" => CallKind::Method,
            "function" => CallKind::Function,
            other => return Err(PyValueError::new_err(format!("kind is 'method' or 'function', not {other:?}"))),
        };
        let expands = match expands {
            None if map.is_some() => Expands::Items,
            None => Expands::Nothing,
            Some("graph") => Expands::Graph,
            Some("iterations") => Expands::Iterations,
            Some(other) => return Err(PyValueError::new_err(format!("nothing expands into {other:?}"))),
        };
        let place = match executor {
            _ if is_coroutine => Place::Loop,
            // What expands stays: what comes of it goes where it says.
            _ if expands != Expands::Nothing => Place::Here,
            None => Place::Unnamed,
            Some("thread" | "inline") => Place::Here,
            Some("process") => Place::Process,
            Some(other) => {
                return Err(PyValueError::new_err(format!("no executor for a plain function is called {other:?}")));
            }
        };
        let inputs = input_names.len();
        let outputs = output_names.len();
        let keywords = keyword_names.as_ref().map_or(0, |names| names.len());
        let sizes_agree = input_flags.as_bytes().len() == inputs
            && input_checks.len() == inputs
            && input_defaults.len() == inputs
            && output_flags.as_bytes().len() == outputs
            && output_checks.len() == outputs
            && keywords <= arguments.len();
        if !sizes_agree {
            return Err(PyValueError::new_err("names, flags, checks and defaults of a spec differ in length"));
        }
        if let Some(wrong) = arguments.iter().find(|&&argument| argument < -1 || argument >= inputs as i32) {
            return Err(PyValueError::new_err(format!("argument {wrong} is no input of a spec with {inputs} inputs")));
        }
        // A time too long for the clock is no limit.
        let seconds = settings.bind(py).getattr("timeout_seconds")?.extract::<Option<f64>>()?;
        let timeout = seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
        let missing = Missing::object(py)?;
        let default = |value: Bound<'_, PyAny>| if value.is(missing) { None } else { Some(value.unbind()) };
        let checks = |checks: Vec<Bound<'_, PyAny>>| checks.iter().map(Check::from_python).collect::<PyResult<_>>();
        let always_runs = settings.bind(py).getattr(intern!(py, "always_run"))?.is_truthy()?;
        let takes_ports_in_order = arguments.iter().copied().eq(0..inputs as i32);
        // Named dimensions take the ways of what is rare, so that nobody else looks for them.
        let takes_values_as_they_are = dimensions.is_none()
            && input_flags.as_bytes().iter().all(|flags| flags & (INPUT_MANY | INPUT_MUTABLE) == 0);
        Ok(Self {
            label,
            kind,
            keyword_count: keywords,
            takes_ports_in_order,
            takes_values_as_they_are,
            has_one_output: outputs == 1 && !spread && dimensions.is_none(),
            duration: Duration::default(),
            output_size: OutputSize::new(settings.bind(py).getattr(intern!(py, "output_bytes"))?.extract()?),
            function,
            input_flags: input_flags.as_bytes().into(),
            input_checks: checks(input_checks)?,
            input_defaults: input_defaults.into_iter().map(default).collect(),
            output_checks: checks(output_checks)?,
            output_flags: output_flags.as_bytes().into(),
            input_names: interned(&input_names)?,
            output_names: interned(&output_names)?,
            arguments: arguments.into(),
            keyword_names: keyword_names.filter(|names| !names.is_empty()).map(|names| interned(&names)).transpose()?,
            spread,
            is_coroutine,
            place,
            retry_policy,
            max_attempts,
            settings,
            timeout,
            expands,
            map,
            fallback,
            always_runs,
            dimensions,
            contracts,
        })
    }

    /// What is run for each item of a map.
    #[getter]
    fn item(&self, py: Python<'_>) -> Option<Py<Self>> {
        self.map.as_ref().map(|map| map.get().item.clone_ref(py))
    }

    /// Whether its attempts run another plan in their place.
    #[getter]
    fn is_expanding(&self) -> bool {
        matches!(self.expands, Expands::Graph | Expands::Iterations)
    }

    /// Whether it calls a function with its inputs: there is no more to the operation.
    #[getter]
    fn is_function(&self) -> bool {
        self.kind == CallKind::Function
    }

    /// How long attempts took of late: the shortest and the longest to expect, in nanoseconds; 0 if none has ended.
    #[getter]
    fn seen_nanoseconds(&self) -> (u32, u32) {
        (self.duration.shortest(), self.duration.longest())
    }

    /// How large its outputs are together, in bytes: as declared, or else as seen of late; `None` if nobody knows.
    #[getter]
    fn expected_bytes(&self) -> Option<u64> {
        self.output_size.expected()
    }

    fn __repr__(&self) -> String {
        format!("<NodeSpec of {}>", self.label)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.function)?;
        visit.call(&self.input_names)?;
        visit.call(&self.output_names)?;
        visit.call(&self.keyword_names)?;
        visit.call(&self.retry_policy)?;
        visit.call(&self.settings)?;
        visit.call(&self.map)?;
        visit.call(&self.fallback)?;
        visit.call(&self.dimensions)?;
        self.input_defaults.iter().try_for_each(|default| visit.call(default))?;
        self.input_checks.iter().chain(&self.output_checks).try_for_each(|check| check.traverse(&visit))
    }
}

impl NodeSpec {
    /// The index of a name: by identity of interned strings first, by value otherwise.
    #[inline]
    pub(crate) fn position(names: &Bound<'_, PyTuple>, name: &Bound<'_, PyString>) -> Option<usize> {
        let by_identity =
            (0..names.len()).find(|&index| names.get_borrowed_item(index).is_ok_and(|other| other.is(name)));
        by_identity.or_else(|| {
            (0..names.len())
                .find(|&index| names.get_borrowed_item(index).is_ok_and(|other| other.eq(name).unwrap_or(false)))
        })
    }

    /// Raises when the value is not what the output declares.
    #[inline(always)]
    pub(crate) fn check_output(&self, port: usize, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.output_checks[port].holds_plainly(value) { Ok(()) } else { self.check_output_closely(port, value) }
    }

    #[cold]
    fn check_output_closely(&self, port: usize, value: &Bound<'_, PyAny>) -> PyResult<()> {
        match self.output_checks[port].fault(value)? {
            None => Ok(()),
            Some(fault) => {
                let py = value.py();
                let name = self.output_name(py, port);
                Err(python_errors::value_type(
                    py,
                    format!("output {name:?} of {} has a wrong value: {fault}", self.label),
                ))
            }
        }
    }

    /// The name of an output, for messages.
    pub(crate) fn output_name(&self, py: Python<'_>, port: usize) -> String {
        self.output_names.bind(py).get_item(port).map_or_else(|_| port.to_string(), |name| name.to_string())
    }

    /// The name of an input, for messages.
    pub(crate) fn input_name(&self, py: Python<'_>, port: usize) -> String {
        self.input_names.bind(py).get_item(port).map_or_else(|_| port.to_string(), |name| name.to_string())
    }
}

/// The same names as interned strings, so that a lookup by a literal meets the same pointer.
fn interned(names: &Bound<'_, PyTuple>) -> PyResult<Py<PyTuple>> {
    let py = names.py();
    let names = names.iter().map(|name| Ok(PyString::intern(py, name.cast::<PyString>()?.to_str()?)));
    Ok(PyTuple::new(py, names.collect::<PyResult<Vec<_>>>()?)?.unbind())
}
