//! Methods that the interpreter calls as it calls a function: without the checks and the detour through the flags of a
//! `PyMethodDef` by which a method of an extension class costs more than what it does.
//!
//! CPython has a protocol for that: a type with `Py_TPFLAGS_METHOD_DESCRIPTOR` is looked up once, not bound, and called with
//! the object as its first argument. Whatever else is asked of such a method, the one of pyo3 answers that it stands for.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::mem::{offset_of, size_of};

use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::kept::Kept;

unsafe extern "C" {
    /// A method bound to an object: part of CPython's C API, and not among the bindings of pyo3.
    fn PyMethod_New(function: *mut ffi::PyObject, object: *mut ffi::PyObject) -> *mut ffi::PyObject;
}

/// A method with the one of pyo3 that it falls back on, which checks its arguments and has the messages.
pub(crate) struct QuickMethod {
    name: &'static str,
    call: ffi::vectorcallfunc,
    careful: Kept<Py<PyAny>>,
}

#[repr(C)]
struct Object {
    head: ffi::PyObject,
    call: ffi::vectorcallfunc,
    method: &'static QuickMethod,
}

impl QuickMethod {
    /// A method whose `call` goes on with [`QuickMethod::call_carefully`] where it is not sure of its arguments.
    pub(crate) const fn new(name: &'static str, call: ffi::vectorcallfunc) -> Self {
        Self { name, call, careful: Kept::new() }
    }

    /// Puts it in the place of the careful one.
    pub(crate) fn replace(&'static self, class: &Bound<'_, PyType>) -> PyResult<()> {
        let py = class.py();
        self.careful.keep(class.getattr(self.name)?.unbind());
        class.setattr(self.name, self.object(py)?)
    }

    fn object<'py>(&'static self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let class = class(py)?;
        // SAFETY: attached; the class is a heap type of objects that begin with `Object`, whose other fields are set before
        // anybody sees it.
        unsafe {
            let made = ffi::PyType_GenericAlloc(class.as_type_ptr(), 0);
            let object = Bound::from_owned_ptr_or_err(py, made)?;
            let fields = object.as_ptr().cast::<Object>();
            (&raw mut (*fields).call).write(self.call);
            (&raw mut (*fields).method).write(self);
            Ok(object)
        }
    }

    /// Calls the careful method, with the object among the arguments.
    ///
    /// # Safety
    /// As CPython makes a vectorcall.
    #[cold]
    pub(crate) unsafe fn call_carefully(
        &self,
        arguments: *const *mut ffi::PyObject,
        count: usize,
        names: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject {
        // SAFETY: attached, as the caller promises.
        let py = unsafe { Python::assume_attached() };
        let Some(careful) = self.careful.get() else {
            PySystemError::new_err("the module was not initialised").restore(py);
            return std::ptr::null_mut();
        };
        // SAFETY: the arguments as they were given.
        unsafe { ffi::PyObject_Vectorcall(careful.as_ptr(), arguments, count, names) }
    }
}

fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: Kept<Py<PyType>> = Kept::new();
    CLASS.get_or_make(|| make_class(py).map(Bound::unbind)).map(|class| class.bind(py))
}

fn make_class(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let mut members = [
        ffi::PyMemberDef {
            name: c"__vectorcalloffset__".as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: offset_of!(Object, call) as ffi::Py_ssize_t,
            flags: ffi::Py_READONLY,
            doc: std::ptr::null(),
        },
        // SAFETY: all zeros end the list.
        unsafe { std::mem::zeroed() },
    ];
    let slot = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let mut slots = [
        slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
        slot(ffi::Py_tp_descr_get, bind as *mut c_void),
        slot(ffi::Py_tp_getattro, attribute as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(0, std::ptr::null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT
        | ffi::Py_TPFLAGS_HAVE_VECTORCALL
        | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR
        | ffi::Py_TPFLAGS_IMMUTABLETYPE
        | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = ffi::PyType_Spec {
        name: c"execution_dataflow._core.method".as_ptr().cast::<c_char>(),
        basicsize: size_of::<Object>() as c_int,
        itemsize: 0,
        flags: flags as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: attached; the type copies what it needs of all these; the slots have the signatures that CPython wants.
    unsafe { Ok(Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec))?.cast_into_unchecked()) }
}

/// # Safety
/// Attached; an object of the class above.
unsafe fn careful(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as the caller promises; `replace` set it before there was an object.
    unsafe {
        let method = (*object.cast::<Object>()).method;
        method.careful.get().map_or(ffi::Py_None(), Py::as_ptr)
    }
}

unsafe extern "C" fn bind(
    method: *mut ffi::PyObject,
    object: *mut ffi::PyObject,
    _class: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: attached, with valid references.
    unsafe {
        if object.is_null() || object == ffi::Py_None() { ffi::Py_NewRef(method) } else { PyMethod_New(method, object) }
    }
}

unsafe extern "C" fn attribute(method: *mut ffi::PyObject, name: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: attached, with valid references.
    unsafe {
        let own = ffi::PyObject_GenericGetAttr(method, name);
        if !own.is_null() || ffi::PyErr_ExceptionMatches(ffi::PyExc_AttributeError) == 0 {
            return own;
        }
        ffi::PyErr_Clear();
        ffi::PyObject_GetAttr(careful(method), name)
    }
}

unsafe extern "C" fn repr(method: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: attached, with valid references.
    unsafe { ffi::PyObject_Repr(careful(method)) }
}
