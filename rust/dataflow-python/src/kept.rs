//! What the process makes once and keeps, found or made without waiting for another thread.
//!
//! `PyOnceLock`, and with it `pyo3::intern!`, lets go of the interpreter while a thread makes the content. A process
//! that is forked in that moment finds it being made by a thread that it does not have, and waits for ever. Here two
//! threads may both make it, and the first one's stays.
#![allow(unsafe_code)]

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// A static of this type is made when it is first asked for; it lives as long as the process.
pub(crate) struct Kept<T: Send + Sync + 'static>(AtomicPtr<T>);

impl<T: Send + Sync + 'static> Kept<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// What was made, if it was.
    #[inline]
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: null, or a box that `keep` has put here for ever. Acquire, with the release in `keep`: its content is
        // visible.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// What was made before, or what is made now.
    #[inline]
    pub(crate) fn get_or_make<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&'static T, E> {
        match self.get() {
            Some(kept) => Ok(kept),
            None => Ok(self.keep(make()?)),
        }
    }

    /// Keeps this, unless something is kept already; returns what is.
    #[cold]
    pub(crate) fn keep(&self, made: T) -> &'static T {
        let made = Box::into_raw(Box::new(made));
        match self.0.compare_exchange(null_mut(), made, Ordering::Release, Ordering::Acquire) {
            // SAFETY: a box that nobody frees from now on.
            Ok(_) => unsafe { &*made },
            // SAFETY: this box was seen by nobody; that of the other thread stays, acquired as in `get`.
            Err(first) => unsafe {
                drop(Box::from_raw(made));
                &*first
            },
        }
    }
}

impl<T> Kept<Py<T>> {
    /// What a module has under a name.
    pub(crate) fn import<'py>(&self, py: Python<'py>, module: &str, name: &str) -> PyResult<&'py Bound<'py, T>>
    where
        T: pyo3::PyTypeCheck,
    {
        let import = || Ok(py.import(module)?.getattr(name)?.cast_into::<T>().map_err(PyErr::from)?.unbind());
        self.get_or_make(import).map(|object| object.bind(py))
    }
}

/// An interned string that is made once.
pub(crate) struct Interned(&'static str, Kept<Py<PyString>>);

impl Interned {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self(text, Kept::new())
    }

    #[inline]
    pub(crate) fn get<'py>(&'static self, py: Python<'py>) -> &'py Bound<'py, PyString> {
        let made = match self.1.get() {
            Some(made) => made,
            None => self.1.keep(PyString::intern(py, self.0).unbind()),
        };
        made.bind(py)
    }
}

/// `pyo3::intern!` for a process that may be forked.
macro_rules! intern {
    ($py:expr, $text:expr) => {{
        static INTERNED: $crate::kept::Interned = $crate::kept::Interned::new($text);
        INTERNED.get($py)
    }};
}
pub(crate) use intern;

/// Has pyo3 make what it would make when the first error is taken and the first name of a class is read.
pub(crate) fn make_what_pyo3_keeps(py: Python<'_>) -> PyResult<()> {
    py.get_type::<PanicException>();
    py.get_type::<PyRuntimeError>().name().map(drop)
}
