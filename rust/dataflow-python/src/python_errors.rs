//! The exception classes of `execution_dataflow.errors`, imported when one is first raised.

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::kept::Kept;

macro_rules! python_error {
    ($($(#[$doc:meta])* $function:ident => $class:literal),* $(,)?) => {
        $(
            $(#[$doc])*
            pub(crate) fn $function(py: Python<'_>, message: String) -> PyErr {
                static CLASS: Kept<Py<PyType>> = Kept::new();
                match CLASS.import(py, "execution_dataflow.errors", $class) {
                    Ok(class) => PyErr::from_type(class.clone(), message),
                    Err(error) => error,
                }
            }
        )*
    };
}

python_error! {
    /// A port was used outside of a run of its operation.
    outside_run => "OutsideRunError",
    /// A successful attempt left a required output unset.
    output_not_set => "OutputNotSetError",
    /// A value is not what its port declares.
    value_type => "ValueTypeError",
    /// Something that the arguments of a call promise does not hold.
    contract => "ContractError",
}

/// A port that the operation does not declare.
pub(crate) fn unknown_port(
    py: Python<'_>,
    operation: &str,
    port: &str,
    known: &Bound<'_, PyAny>,
    direction: &str,
) -> PyErr {
    static CLASS: Kept<Py<PyType>> = Kept::new();
    CLASS
        .import(py, "execution_dataflow.errors", "UnknownPortError")
        .and_then(|class| class.call1((operation, port, known, direction)))
        .map_or_else(|error| error, PyErr::from_value)
}

macro_rules! interruption {
    ($($(#[$doc:meta])* $function:ident => $class:literal),* $(,)?) => {
        $(
            $(#[$doc])*
            pub(crate) fn $function(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
                static CLASS: Kept<Py<PyType>> = Kept::new();
                CLASS.import(py, "execution_dataflow.cancellation", $class)
            }
        )*
    };
}

interruption! {
    /// What is raised in an operation whose run was cancelled.
    cancelled_class => "AttemptCancelled",
    /// What is raised in an operation whose time is over.
    timed_out_class => "AttemptTimedOut",
    /// What is raised in an operation of a run that another operation has begun, which is to be interrupted.
    outer_class => "OuterAttemptInterrupted",
}

/// A function that does nothing, in which an exception may be raised that nobody is to see.
pub(crate) fn absorb(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static FUNCTION: Kept<Py<PyAny>> = Kept::new();
    let find = || Ok(py.import("execution_dataflow.cancellation")?.getattr("absorb")?.unbind());
    FUNCTION.get_or_make(find).map(|function| function.bind(py))
}

/// What the code of an attempt gets that was set aside.
pub(crate) fn attempt_timed_out(py: Python<'_>) -> PyErr {
    timed_out_class(py).map_or_else(|error| error, |class| PyErr::from_type(class.clone(), ()))
}

/// Whether an operation was interrupted because one that has begun its run was.
pub(crate) fn is_of_outer(py: Python<'_>, error: &PyErr) -> bool {
    outer_class(py).is_ok_and(|class| error.is_instance(py, class))
}

/// Whether an operation gave up because its run was cancelled.
pub(crate) fn is_attempt_cancelled(py: Python<'_>, error: &PyErr) -> bool {
    cancelled_class(py).is_ok_and(|class| error.is_instance(py, class))
}
