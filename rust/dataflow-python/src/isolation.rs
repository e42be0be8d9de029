//! Context variables of operations: each attempt sees the caller's, and what it sets stays its own (rule R12).
//!
//! An attempt runs in a copy of the caller's context. Most operations never set a context variable, so the copy is kept,
//! and stays entered, until one did: the variables of a context are an immutable map that copies share, and `set` puts
//! another map in its place. Whether the map is still the caller's is one comparison of pointers, where a copy, its way in
//! and out and its end would cost more than the rest of the scheduler.
//!
//! CPython does not say where a context keeps its map. [`maps_are_where_we_look`] looks once in a process whether the
//! place that all versions from 3.11 to 3.14 use behaves as it should; if not, every attempt gets a copy of its own.
#![allow(unsafe_code)]

use std::ptr::null_mut;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::kept::Kept;

/// The context that a worker has entered for the operations of one run.
pub(crate) struct Isolation {
    /// Owned; null when none is entered.
    entered: *mut ffi::PyObject,
    /// The run's context that it is a copy of: it owns that one, so the pointer is not used again while we are here.
    base: *mut ffi::PyObject,
}

impl Isolation {
    pub(crate) fn new() -> Self {
        Self { entered: null_mut(), base: null_mut() }
    }

    /// Sees to it that the thread is in a context with the variables of `base` and no others.
    #[inline]
    pub(crate) fn renew(&mut self, py: Python<'_>, base: &Py<PyAny>) -> PyResult<()> {
        // SAFETY: both are contexts while they are not null, the first owned by us, the second by the run.
        let is_clean =
            !self.entered.is_null() && self.base == base.as_ptr() && unsafe { share_map(py, self.entered, self.base) };
        if is_clean { Ok(()) } else { self.enter_copy(py, base) }
    }

    #[cold]
    fn enter_copy(&mut self, py: Python<'_>, base: &Py<PyAny>) -> PyResult<()> {
        self.leave(py)?;
        let context = copy(py, base)?;
        // SAFETY: attached, and `context` is a context that nobody has entered.
        if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
            return Err(PyErr::fetch(py));
        }
        (self.entered, self.base) = (context.into_ptr(), base.as_ptr());
        Ok(())
    }

    /// Leaves the context, if one is entered.
    pub(crate) fn leave(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.entered.is_null() {
            return Ok(());
        }
        // SAFETY: owned by us, from `into_ptr` in `enter_copy`.
        let context = unsafe { Bound::from_owned_ptr(py, std::mem::replace(&mut self.entered, null_mut())) };
        // SAFETY: attached, on the thread that entered it: a worker keeps its host to itself.
        if unsafe { ffi::PyContext_Exit(context.as_ptr()) } == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
    }
}

/// A copy of a `contextvars.Context`.
pub(crate) fn copy<'py>(py: Python<'py>, context: &Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; the result is a new reference or null with an error set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_Copy(context.as_ptr())) }
}

/// Whether two contexts have the same map; `false` where that cannot be told.
///
/// # Safety
/// Both are contexts.
#[inline]
unsafe fn share_map(py: Python<'_>, one: *mut ffi::PyObject, other: *mut ffi::PyObject) -> bool {
    // SAFETY: as the caller promises, and the place was tried.
    maps_are_where_we_look(py) && unsafe { map_of(one) == map_of(other) }
}

/// The second word behind the object's head: after the context that was entered before.
const MAP_OFFSET: usize = size_of::<ffi::PyObject>() + size_of::<*mut ffi::PyObject>();

/// # Safety
/// The object is at least a word longer than [`MAP_OFFSET`].
#[inline]
unsafe fn map_of(context: *mut ffi::PyObject) -> *const ffi::PyObject {
    // SAFETY: the object is long enough; volatile, since the interpreter writes there.
    unsafe { context.cast::<u8>().add(MAP_OFFSET).cast::<*const ffi::PyObject>().read_volatile() }
}

#[inline]
fn maps_are_where_we_look(py: Python<'_>) -> bool {
    static ANSWER: Kept<bool> = Kept::new();
    *ANSWER.get().unwrap_or_else(|| ANSWER.keep(try_the_place(py).unwrap_or(false)))
}

/// A copy has the map of its original, a variable that is set changes the map of the copy alone, and a copy of that has
/// the new one.
fn try_the_place(py: Python<'_>) -> PyResult<bool> {
    let module = py.import("contextvars")?;
    let class = module.getattr("Context")?;
    if class.getattr("__basicsize__")?.extract::<usize>()? < MAP_OFFSET + size_of::<usize>() {
        return Ok(false);
    }
    let original = class.call0()?;
    let copy = original.call_method0("copy")?;
    // SAFETY: long enough, by the size of its class.
    let map = |context: &Bound<'_, PyAny>| unsafe { map_of(context.as_ptr()) };
    let before = map(&original);
    let are_shared = !before.is_null() && map(&copy) == before;
    let variable = module.getattr("ContextVar")?.call1(("execution_dataflow_trial",))?;
    copy.call_method1("run", (variable.getattr("set")?, 1))?;
    let copy_of_copy = copy.call_method0("copy")?;
    Ok(are_shared && map(&original) == before && map(&copy) != before && map(&copy_of_copy) == map(&copy))
}
