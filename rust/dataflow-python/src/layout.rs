//! What a graph has to know of a port signature, made once for each of them and shared by all graphs.
#![allow(unsafe_code)]

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::checks::Check;

/// The names, flags and checks of the ports of a frozen `PortSignature`.
#[pyclass(frozen, module = "execution_dataflow._core")]
pub(crate) struct PortLayout {
    pub(crate) signature: Py<PyAny>,
    input_names: Box<[Py<PyString>]>,
    output_names: Box<[Py<PyString>]>,
    pub(crate) input_flags: Box<[u8]>,
    pub(crate) output_flags: Box<[u8]>,
    checks: Box<[Check]>,
}

#[pymethods]
impl PortLayout {
    #[new]
    fn new(
        signature: Py<PyAny>,
        input_names: &Bound<'_, PyTuple>,
        input_flags: &Bound<'_, PyBytes>,
        input_checks: Vec<Bound<'_, PyAny>>,
        output_names: &Bound<'_, PyTuple>,
        output_flags: &Bound<'_, PyBytes>,
    ) -> PyResult<Self> {
        let flags = (input_flags.as_bytes(), output_flags.as_bytes());
        if (input_names.len(), output_names.len()) != (flags.0.len(), flags.1.len())
            || input_checks.len() != input_names.len()
        {
            return Err(PyValueError::new_err("names, flags and checks of a layout differ in length"));
        }
        Ok(Self {
            signature,
            input_names: interned(input_names)?,
            output_names: interned(output_names)?,
            input_flags: flags.0.into(),
            output_flags: flags.1.into(),
            checks: input_checks.iter().map(Check::from_python).collect::<PyResult<_>>()?,
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.signature)?;
        self.checks.iter().try_for_each(|check| check.traverse(&visit))
    }
}

impl PortLayout {
    /// The index of an input, if the name is that of one; runs no Python code.
    #[inline]
    pub(crate) fn input(&self, name: &Bound<'_, PyAny>) -> Option<u32> {
        position(&self.input_names, name)
    }

    /// The index of an output, if the name is that of one; runs no Python code.
    #[inline]
    pub(crate) fn output(&self, name: &Bound<'_, PyAny>) -> Option<u32> {
        position(&self.output_names, name)
    }

    /// Whether a value is of the very class that an input declares. `false` says nothing: subclasses, virtual ones and
    /// declarations that need Python code are looked at elsewhere. Runs no Python code.
    #[inline]
    pub(crate) fn surely_fits(&self, input: u32, value: &Bound<'_, PyAny>) -> bool {
        let class = value.get_type_ptr().cast::<ffi::PyObject>();
        match &self.checks[input as usize] {
            Check::Anything => true,
            Check::Class(wanted) => wanted.as_ptr() == class,
            Check::AnyOf(wanted) => wanted.iter().any(|wanted| wanted.as_ptr() == class),
            Check::Callable(_) => false,
        }
    }
}

/// By identity, since names in a program are interned like these; by value otherwise.
#[inline]
fn position(names: &[Py<PyString>], name: &Bound<'_, PyAny>) -> Option<u32> {
    let found = names.iter().position(|known| known.as_ptr() == name.as_ptr());
    found.or_else(|| position_by_value(names, name)).map(|index| index as u32)
}

#[cold]
fn position_by_value(names: &[Py<PyString>], name: &Bound<'_, PyAny>) -> Option<usize> {
    // A subclass may have an == of its own.
    let name = name.cast_exact::<PyString>().ok()?;
    names.iter().position(|known| {
        // SAFETY: attached, and both are strings, whose comparison runs no Python code and raises nothing.
        unsafe { ffi::PyUnicode_Compare(known.as_ptr(), name.as_ptr()) == 0 }
    })
}

fn interned(names: &Bound<'_, PyTuple>) -> PyResult<Box<[Py<PyString>]>> {
    let py = names.py();
    names.iter().map(|name| Ok(PyString::intern(py, name.cast::<PyString>()?.to_str()?).unbind())).collect()
}
