//! The base object of arrays over shared memory.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::shared_memory::ledger::Shared;

/// A claim on a part of a shared block, which exports that part as a buffer. The claim ends with the object: when the
/// last array, view or memoryview over it is gone.
// It takes no part in cyclic garbage collection: what it refers to, a mapping, refers to nothing.
#[pyclass(frozen, weakref, module = "execution_dataflow._core")]
pub(crate) struct Lease {
    shared: Arc<Shared>,
    /// Keeps the memory mapped.
    memory: Option<Py<PyAny>>,
    #[pyo3(get)]
    block: u64,
    /// Where in the block it begins.
    #[pyo3(get)]
    offset: usize,
    address: usize,
    length: usize,
    read_only: AtomicBool,
    /// The sender said that nobody else will see the block any more.
    moved: bool,
}

impl Lease {
    pub(super) fn new(
        shared: Arc<Shared>,
        memory: Py<PyAny>,
        (block, offset): (u64, usize),
        (address, length): (usize, usize),
        writeable: bool,
        moved: bool,
    ) -> Self {
        let read_only = AtomicBool::new(!writeable);
        Self { shared, memory: Some(memory), block, offset, address, length, read_only, moved }
    }

    pub(crate) fn address(&self) -> usize {
        self.address
    }

    /// From now on no array can be made writeable over it. (Those that already are must be locked themselves.)
    pub(crate) fn lock(&self) {
        // Relaxed: it guards no memory. Who writes and who reads is ordered by the engine.
        self.read_only.store(true, Ordering::Relaxed);
    }

    /// Makes it writeable if no other lease, parcel or process has a claim on the block.
    pub(crate) fn try_unlock(&self) -> bool {
        let may = self.shared.begin_to_write(self.block, self.moved);
        if may {
            self.read_only.store(false, Ordering::Relaxed);
        }
        may
    }
}

#[pymethods]
impl Lease {
    fn __len__(&self) -> usize {
        self.length
    }

    /// Whether nobody else, in any process, has a claim on the block, so that what is written there disturbs nobody.
    #[getter]
    fn is_sole(&self) -> bool {
        self.shared.may_write(self.block, self.moved)
    }

    /// Copies bytes into the block, without the interpreter.
    fn fill(&self, py: Python<'_>, source: &Bound<'_, PyAny>, at: usize) -> PyResult<()> {
        let source = PyBuffer::<u8>::get(source)?;
        let length = source.len_bytes();
        if !source.is_c_contiguous() {
            return Err(PyValueError::new_err("only contiguous bytes can be copied into shared memory"));
        }
        if at.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(PyValueError::new_err(format!(
                "{length} bytes at {at} do not fit into the {} of this lease",
                self.length
            )));
        }
        let (from, to) = (source.buf_ptr() as usize, self.address + at);
        let copy = move || {
            // SAFETY: `source` exports its bytes until it is dropped below; the target lies within the block, which is
            // mapped writeable and claimed by this lease. The ranges may not overlap only as far as nobody copies a
            // block onto itself; `copy` allows for that.
            unsafe { std::ptr::copy(from as *const u8, to as *mut u8, length) };
        };
        // Letting go of the interpreter costs about as much as copying 20 KB.
        if length > 1 << 16 {
            py.detach(copy)
        } else {
            copy()
        }
        drop(source);
        self.shared.count_copy(length);
        Ok(())
    }

    /// # Safety
    /// Called by the interpreter, with a view that it fills in and releases.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        let read_only = this.read_only.load(Ordering::Relaxed);
        if read_only && flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
            // SAFETY: the interpreter's own view.
            unsafe { (*view).obj = std::ptr::null_mut() };
            return Err(PyBufferError::new_err(
                "this memory is shared with other operations or processes and read-only; write to a copy of it",
            ));
        }
        // SAFETY: the view is the interpreter's; the memory stays mapped as long as this object lives, to which the view
        // holds a reference.
        let result = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                this.address as *mut std::ffi::c_void,
                this.length as ffi::Py_ssize_t,
                c_int::from(read_only),
                flags,
            )
        };
        if result == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }

    fn __repr__(&self) -> String {
        format!("<Lease of {} bytes at {} of block {}>", self.length, self.offset, self.block)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The claim before the mapping: whoever takes the block next may be quicker than this thread.
        let memory = self.memory.take();
        self.shared.unclaim(self.block, 1);
        drop(memory);
    }
}
