//! Where the results of a map's items go: one list for each output, or one array (`stack`).
#![allow(unsafe_code)]

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;

use crate::kept::intern;

/// The results of one output, in the order of the items. Each item writes its own place, once.
pub(crate) enum Column {
    Sized(Box<[AtomicPtr<ffi::PyObject>]>),
    Open(Mutex<Vec<AtomicPtr<ffi::PyObject>>>),
    Stack(Stack),
}

/// One array with a row for each item, made from the first result.
pub(crate) struct Stack {
    rows: usize,
    made: MadeOnce,
}

/// May wait for the thread that makes it: it belongs to a run, which is lost in a process that is forked.
#[allow(clippy::disallowed_types)]
type MadeOnce = pyo3::sync::PyOnceLock<Made>;

struct Made {
    array: Py<PyAny>,
    /// The class of the first result; of a scalar it says all that there is to compare.
    class: Py<PyAny>,
    is_scalar: bool,
}

impl Column {
    /// For this many items, or for as many as will come.
    pub(crate) fn new(len: Option<usize>, stacks: bool) -> Self {
        match len {
            Some(rows) if stacks => Self::Stack(Stack { rows, made: MadeOnce::new() }),
            Some(len) => Self::Sized((0..len).map(|_| AtomicPtr::new(null_mut())).collect()),
            None => Self::Open(Mutex::default()),
        }
    }

    /// Puts the result of an item in its place. Relaxed: the end of the map orders all of them before it is read.
    #[inline]
    pub(crate) fn put(&self, index: usize, value: Bound<'_, PyAny>, hooks: &Py<PyAny>) -> PyResult<()> {
        let before = match self {
            Self::Sized(places) => places[index].swap_unless_empty(value.into_ptr()),
            Self::Open(places) => {
                let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
                if places.len() <= index {
                    places.resize_with(index + 1, AtomicPtr::default);
                }
                places[index].swap_unless_empty(value.into_ptr())
            }
            Self::Stack(stack) => return stack.put(index, &value, hooks),
        };
        debug_assert!(before.is_null(), "an item has one outcome");
        Ok(())
    }

    /// The results of `count` items as a list; `missing` gives what stands in the place of one that is not there.
    pub(crate) fn into_python<'py>(
        mut self,
        py: Python<'py>,
        count: usize,
        missing: impl Fn(usize) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let places: &mut [AtomicPtr<ffi::PyObject>] = match &mut self {
            Self::Sized(places) => places,
            Self::Open(places) => {
                let places = places.get_mut().unwrap_or_else(PoisonError::into_inner);
                // The last ones may have no result.
                places.resize_with(count, AtomicPtr::default);
                places
            }
            Self::Stack(stack) => return stack.finish(py),
        };
        // Before the list is there: a list with holes is nothing that other code may see.
        for (index, place) in places.iter_mut().enumerate().filter(|(_, place)| place.load(Ordering::Relaxed).is_null())
        {
            *place.get_mut() = missing(index)?.into_ptr();
        }
        // SAFETY: attached. The list is filled at once, each of its places with a reference that is moved there.
        unsafe {
            let list = Bound::from_owned_ptr_or_err(py, ffi::PyList_New(places.len() as ffi::Py_ssize_t))?;
            for (index, place) in places.iter_mut().enumerate() {
                let value = std::mem::replace(place.get_mut(), null_mut());
                ffi::PyList_SET_ITEM(list.as_ptr(), index as ffi::Py_ssize_t, value);
            }
            Ok(list)
        }
    }
}

trait Place {
    fn swap_unless_empty(&self, value: *mut ffi::PyObject) -> *mut ffi::PyObject;
}

impl Place for AtomicPtr<ffi::PyObject> {
    /// A store, as long as the place is empty: an item's one outcome.
    #[inline]
    fn swap_unless_empty(&self, value: *mut ffi::PyObject) -> *mut ffi::PyObject {
        let before = self.load(Ordering::Relaxed);
        self.store(value, Ordering::Relaxed);
        before
    }
}

impl Drop for Column {
    fn drop(&mut self) {
        let places: &mut [AtomicPtr<ffi::PyObject>] = match self {
            Self::Sized(places) => places,
            Self::Open(places) => places.get_mut().unwrap_or_else(PoisonError::into_inner),
            Self::Stack(_) => return,
        };
        for place in places {
            let value = std::mem::replace(place.get_mut(), null_mut());
            if !value.is_null() {
                // SAFETY: an owned reference; maps end on attached threads.
                unsafe { ffi::Py_DECREF(value) };
            }
        }
    }
}

impl Stack {
    fn put(&self, index: usize, value: &Bound<'_, PyAny>, hooks: &Py<PyAny>) -> PyResult<()> {
        let py = value.py();
        let make = || -> PyResult<Made> {
            let answer = hooks.bind(py).call_method1(intern!(py, "map_stack"), (self.rows, value))?;
            let (array, is_scalar) = answer.extract()?;
            Ok(Made { array, class: value.get_type().into_any().unbind(), is_scalar })
        };
        let made = self.made.get_or_try_init(py, make)?;
        if made.is_scalar && value.get_type().is(&made.class) {
            // SAFETY: attached, and both are live objects.
            let status = unsafe {
                let key = ffi::PyLong_FromSize_t(index);
                let status =
                    if key.is_null() { -1 } else { ffi::PyObject_SetItem(made.array.as_ptr(), key, value.as_ptr()) };
                ffi::Py_XDECREF(key);
                status
            };
            return if status == 0 { Ok(()) } else { Err(PyErr::fetch(py)) };
        }
        hooks.bind(py).call_method1(intern!(py, "map_row"), (&made.array, index, value)).map(drop)
    }

    /// The array; an empty one when no item had a result.
    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.made.take() {
            Some(made) => Ok(made.array.into_bound(py)),
            None => py.import("numpy")?.call_method1("zeros", (self.rows,)),
        }
    }
}
