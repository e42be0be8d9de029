//! Calls of a user's code, from which a thread may never come back.
//!
//! A daemon thread that asks for the interpreter after the interpreter began to take itself apart is ended where it
//! stands: up to CPython 3.13 by `pthread_exit`, which on Linux with glibc unwinds the thread's whole stack. Operations
//! reach that point when they are stuck in native code (a sleep, a query) at the end of the program, or refuse to be
//! interrupted. Rust cannot let such a foreign unwinding pass: the process would abort, with the exit code gone. So every
//! call that may take long goes through here, where the unwinding meets [`Hang`] before any other frame of ours. The
//! thread then sleeps until the process ends, a moment later, as CPython 3.14 lets it do from the start. It holds neither
//! the interpreter nor a lock of ours. (pyo3 does the same where a thread attaches again.)
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Stops the unwinding of a thread for good.
struct Hang;

impl Drop for Hang {
    #[cold]
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

type CannotUnwind = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    usize,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

type Vectorcall = unsafe extern "C-unwind" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    usize,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

// SAFETY: only the ABI differs, by what it says of unwinding.
static VECTORCALL: Vectorcall = unsafe { std::mem::transmute(ffi::PyObject_Vectorcall as CannotUnwind) };
// SAFETY: as above.
static VECTORCALL_METHOD: Vectorcall = unsafe { std::mem::transmute(ffi::PyObject_VectorcallMethod as CannotUnwind) };

/// Calls one of the two functions above; for a method its name is the callable.
///
/// # Safety
/// As for that function; and the thread must be attached.
#[inline]
unsafe fn pass(
    function: &'static Vectorcall,
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let guard = Hang;
    // SAFETY: a static; and the caller's promise. Volatile, because a compiler that sees which function this is goes by
    // pyo3's declaration of it, which says that it never unwinds, and leaves the guard out.
    let result = unsafe { std::ptr::read_volatile(function)(callable, arguments, count, names) };
    std::mem::forget(guard);
    result
}

/// Calls `callable`.
///
/// # Safety
/// As for `PyObject_Vectorcall`; and the thread must be attached.
#[inline]
pub(crate) unsafe fn vectorcall<'py>(
    py: Python<'py>,
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the caller's promise; the result is a new reference or null with an error set.
    unsafe { Bound::from_owned_ptr_or_err(py, pass(&VECTORCALL, callable, arguments, count, names)) }
}

type Send =
    unsafe extern "C-unwind" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut *mut ffi::PyObject) -> ffi::PySendResult;

type SendCannotUnwind =
    unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut *mut ffi::PyObject) -> ffi::PySendResult;

// SAFETY: only the ABI differs, by what it says of unwinding.
static SEND: Send = unsafe { std::mem::transmute(ffi::PyIter_Send as SendCannotUnwind) };

/// What came of a step of a coroutine.
pub(crate) enum Sent<'py> {
    Yielded(Bound<'py, PyAny>),
    Returned(Bound<'py, PyAny>),
}

/// Sends a value into a coroutine.
pub(crate) fn send<'py>(coroutine: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<Sent<'py>> {
    let py = coroutine.py();
    let mut result = std::ptr::null_mut();
    let guard = Hang;
    // SAFETY: attached, and both are alive; volatile as in `pass`.
    let sent = unsafe { std::ptr::read_volatile(&SEND)(coroutine.as_ptr(), value.as_ptr(), &mut result) };
    std::mem::forget(guard);
    // SAFETY: a new reference, or null with an error set.
    let result = unsafe { Bound::from_owned_ptr_or_err(py, result) }?;
    Ok(if sent == ffi::PySendResult::PYGEN_NEXT { Sent::Yielded(result) } else { Sent::Returned(result) })
}

/// Calls a method with positional arguments.
pub(crate) fn method<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    arguments: &[Bound<'py, PyAny>],
) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    // The first place is the callee's to overwrite: PY_VECTORCALL_ARGUMENTS_OFFSET.
    let mut places: smallvec::SmallVec<[*mut ffi::PyObject; 6]> =
        smallvec::smallvec![std::ptr::null_mut(), object.as_ptr()];
    places.extend(arguments.iter().map(Bound::as_ptr));
    let count = (arguments.len() + 1) | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
    // SAFETY: attached, and every argument is borrowed for the time of the call; the result is a new reference or null
    // with an error set.
    unsafe {
        let result = pass(&VECTORCALL_METHOD, name.as_ptr(), places.as_ptr().add(1), count, std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(py, result)
    }
}
