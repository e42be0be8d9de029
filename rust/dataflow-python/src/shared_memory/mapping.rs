//! Anonymous files in memory, mapped. Linux only; `named_files.py` is what other systems use.
//!
//! Python's own `mmap` keeps a second descriptor open for each mapping, and a worker needs none at all.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;

/// A file that is mapped for reading and writing, shared with all who map it. It owns the descriptor it is made from.
#[pyclass(frozen, module = "execution_dataflow._core")]
pub(crate) struct Mapping {
    address: usize,
    length: usize,
    file: Mutex<Option<OwnedFd>>,
}

fn last_error() -> PyErr {
    io::Error::last_os_error().into()
}

#[pymethods]
impl Mapping {
    #[new]
    fn new(descriptor: c_int, length: usize) -> PyResult<Self> {
        if descriptor < 0 || length == 0 {
            return Err(PyValueError::new_err("a mapping needs a descriptor and a length"));
        }
        // SAFETY: the caller hands the descriptor over, and it is open: mapping it fails otherwise.
        let file = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // SAFETY: a fresh mapping, at an address that the system chooses.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(last_error());
        }
        Ok(Self { address: address as usize, length, file: Mutex::new(Some(file)) })
    }

    fn __len__(&self) -> usize {
        self.length
    }

    /// The descriptor; -1 when it was closed.
    fn fileno(&self) -> c_int {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Gives the descriptor away, to be closed by the caller; -1 when it is gone. The mapping stays.
    fn detach_descriptor(&self) -> c_int {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        file.map_or(-1, IntoRawFd::into_raw_fd)
    }

    /// Gives the pages back, whoever still has the file mapped. To be called when nobody uses it.
    fn discard(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(file) = file {
            let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            // SAFETY: an open descriptor. A file system that knows no holes keeps the pages until the last mapping goes.
            unsafe { libc::fallocate(file.as_raw_fd(), mode, 0, self.length as libc::off_t) };
        }
    }

    /// # Safety
    /// Called by the interpreter, with a view that it fills in and releases.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        let (address, length) = (this.address as *mut std::ffi::c_void, this.length as ffi::Py_ssize_t);
        // SAFETY: the view is the interpreter's; the memory is mapped as long as this object lives, to which the view
        // holds a reference.
        let result = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), address, length, 0, flags) };
        if result == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nothing refers to any more: every lease holds a reference to this object.
        unsafe { libc::munmap(self.address as *mut libc::c_void, self.length) };
    }
}
