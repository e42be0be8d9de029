//! The sentinel for "there is no value", where `None` is one.

use pyo3::prelude::*;

use crate::kept::Kept;

/// The class of the one object `MISSING`.
#[pyclass(frozen, module = "execution_dataflow._core", name = "MissingType")]
pub(crate) struct Missing;

static OBJECT: Kept<Py<Missing>> = Kept::new();

impl Missing {
    /// The one object.
    pub(crate) fn object(py: Python<'_>) -> PyResult<&Bound<'_, Missing>> {
        OBJECT.get_or_make(|| Py::new(py, Missing)).map(|object| object.bind(py))
    }
}

#[pymethods]
impl Missing {
    fn __repr__(&self) -> &'static str {
        "MISSING"
    }

    fn __bool__(&self) -> bool {
        false
    }

    fn __reduce__(&self) -> &'static str {
        "MISSING"
    }
}
