//! Ownership of numpy arrays between operations (rule D2): read-only views for consumers, moves for the one that may write.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMemoryView};

use crate::kept::intern;
use crate::shared_memory::lease::Lease;

/// `numpy.ndarray`, once an instance of it was met. Relaxed: the type object is immortal for us and was made before.
static NDARRAY: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(std::ptr::null_mut());

/// Whether the value is a plain array, not one of a subclass. numpy is never imported for the question.
#[inline]
pub(crate) fn is_plain_array(value: &Bound<'_, PyAny>) -> bool {
    let class = value.get_type_ptr();
    let known = NDARRAY.load(Ordering::Relaxed);
    if !known.is_null() {
        return class == known;
    }
    // SAFETY: the type of a live object.
    let is_everyday = unsafe { ffi::PyType_GetFlags(class) } & EVERYDAY != 0;
    !is_everyday && meets_first_array(class)
}

/// Numbers, strings and containers, of which arrays are none.
const EVERYDAY: std::ffi::c_ulong = ffi::Py_TPFLAGS_LONG_SUBCLASS
    | ffi::Py_TPFLAGS_LIST_SUBCLASS
    | ffi::Py_TPFLAGS_TUPLE_SUBCLASS
    | ffi::Py_TPFLAGS_BYTES_SUBCLASS
    | ffi::Py_TPFLAGS_UNICODE_SUBCLASS
    | ffi::Py_TPFLAGS_DICT_SUBCLASS
    | ffi::Py_TPFLAGS_HEAPTYPE;

#[cold]
fn meets_first_array(class: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: the type of a live object, whose name is a valid C string as long as the type lives.
    let is_ndarray = unsafe {
        ffi::PyType_HasFeature(class, ffi::Py_TPFLAGS_HEAPTYPE) == 0
            && std::ffi::CStr::from_ptr((*class).tp_name) == c"numpy.ndarray"
    };
    if is_ndarray {
        NDARRAY.store(class, Ordering::Relaxed);
    }
    is_ndarray
}

/// Whether an array may be written.
pub(crate) fn is_writeable(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    flag(array, intern!(array.py(), "writeable"))
}

fn flag(array: &Bound<'_, PyAny>, name: &Bound<'_, pyo3::types::PyString>) -> PyResult<bool> {
    array.getattr(intern!(array.py(), "flags"))?.getattr(name)?.extract()
}

fn set_writeable(array: &Bound<'_, PyAny>, writeable: bool) -> PyResult<()> {
    let py = array.py();
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "write"), writeable)?;
    array.call_method(intern!(py, "setflags"), (), Some(&keywords)).map(drop)
}

/// What consumers of a committed output get. For a writeable plain array the owner of its memory is locked and the result
/// is a read-only view; anything else passes as it is.
pub(crate) fn share<'py>(value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if !is_plain_array(&value) {
        return Ok(value);
    }
    let py = value.py();
    if !is_writeable(&value)? {
        return Ok(value);
    }
    // The array first, then what it is a view of, up to the owner: a locked owner refuses to unlock its views.
    let mut at = value.clone();
    loop {
        set_writeable(&at, false)?;
        let base = at.getattr(intern!(py, "base"))?;
        if base.is_none() || !is_plain_array(&base) {
            // Over shared memory the owner is no array.
            if let Some(lease) = lease_below(&base)? {
                lease.get().lock();
            }
            break;
        }
        at = base;
    }
    value.call_method0(intern!(py, "view"))
}

/// A writeable array for an input that asked for one: the same memory when `sole` says that nobody else will use the
/// value and no reference is left elsewhere, a copy otherwise.
pub(crate) fn writeable<'py>(value: Bound<'py, PyAny>, sole: bool) -> PyResult<Bound<'py, PyAny>> {
    if !is_plain_array(&value) {
        return Ok(value);
    }
    let py = value.py();
    if sole && references(&value) == 1 {
        if let Some(array) = unlocked(&value)? {
            return Ok(array);
        }
        let base = value.getattr(intern!(py, "base"))?;
        if base.is_none() {
            if flag(&value, intern!(py, "owndata"))? {
                set_writeable(&value, true)?;
                return Ok(value);
            }
        } else if is_plain_array(&base) && flag(&base, intern!(py, "owndata"))? && same_layout(&value, &base)? {
            // One reference is the view's, the other ours.
            if references(&base) == 2 {
                drop(value);
                set_writeable(&base, true)?;
                return Ok(base);
            }
        }
    }
    value.call_method0(intern!(py, "copy"))
}

/// The same memory, writeable, of an array whose producer promised that nobody else has a reference to any part of it: a
/// view as well, and memory that no array owns. A copy where a consumer has kept the array, or the memory is read-only.
pub(crate) fn writeable_of_fresh<'py>(value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if references(&value) == 1 {
        let base = value.getattr(intern!(py, "base"))?;
        let owner = if is_plain_array(&base) { set_writeable(&base, true) } else { Ok(()) };
        if owner.and_then(|()| set_writeable(&value, true)).is_ok() {
            return Ok(value);
        }
    }
    value.call_method0(intern!(py, "copy"))
}

/// An array that came from another process in a form that may be written: itself if it may, else a copy.
pub(crate) fn private(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    if !is_plain_array(&value) || flag(&value, intern!(value.py(), "writeable"))? {
        return Ok(value);
    }
    writeable(value, false)
}

/// The lease that an array over shared memory keeps, by itself or through a memoryview of pickle's.
fn lease_below<'py>(base: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Lease>>> {
    if let Ok(lease) = base.cast_exact::<Lease>() {
        return Ok(Some(lease.clone()));
    }
    if base.is_exact_instance_of::<PyMemoryView>() {
        let exporter = base.getattr(intern!(base.py(), "obj"))?;
        return Ok(exporter.cast_into_exact::<Lease>().ok());
    }
    Ok(None)
}

/// A writeable array over the same shared memory, if no other array, parcel or process has a claim on it.
fn unlocked<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    // Views of views down to the one over the lease, each kept by nothing but the one above it.
    let mut at = value.getattr(intern!(py, "base"))?;
    while is_plain_array(&at) {
        // One reference is the view's above it, the other is `at`.
        if references(&at) != 2 {
            return Ok(None);
        }
        at = at.getattr(intern!(py, "base"))?;
    }
    let Some(lease) = lease_below(&at)? else { return Ok(None) };
    let is_kept_elsewhere = references(&at) != if at.is(&lease) { 3 } else { 2 };
    if is_kept_elsewhere || !lease.get().try_unlock() {
        return Ok(None);
    }
    let (address, _) =
        value.getattr(intern!(py, "__array_interface__"))?.get_item("data")?.extract::<(usize, bool)>()?;
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "buffer"), &lease)?;
    keywords.set_item(intern!(py, "offset"), address - lease.get().address())?;
    keywords.set_item(intern!(py, "strides"), value.getattr(intern!(py, "strides"))?)?;
    let arguments = (value.getattr(intern!(py, "shape"))?, value.getattr(intern!(py, "dtype"))?);
    value.get_type().call(arguments, Some(&keywords)).map(Some)
}

fn same_layout(view: &Bound<'_, PyAny>, owner: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = view.py();
    for name in [intern!(py, "shape"), intern!(py, "strides"), intern!(py, "dtype"), intern!(py, "nbytes")] {
        if !view.getattr(name)?.eq(owner.getattr(name)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn references(value: &Bound<'_, PyAny>) -> ffi::Py_ssize_t {
    // SAFETY: a live object, attached.
    unsafe { ffi::Py_REFCNT(value.as_ptr()) }
}
