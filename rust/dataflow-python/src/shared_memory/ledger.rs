//! The accounts of shared memory as Python sees them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;

use crate::kept::intern;
use crate::shared_memory::books::{Books, INDEX_BITS, MAX_BLOCKS, Removed};
use crate::shared_memory::lease::Lease;

/// The books, and what leases need of them.
pub(crate) struct Shared {
    /// Held for moments, in which no Python code runs and no Python object is dropped.
    books: Mutex<Books>,
    /// In the child of a fork: the blocks are its parent's, whose lock may have been held at the fork.
    abandoned: AtomicBool,
    copies: AtomicU64,
    bytes_copied: AtomicU64,
}

impl Shared {
    pub(super) fn count_copy(&self, bytes: usize) {
        // Relaxed: numbers for people and tests, which guard nothing.
        self.copies.fetch_add(1, Ordering::Relaxed);
        self.bytes_copied.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_abandoned(&self) -> bool {
        // Relaxed: set by the only thread of a fresh process.
        self.abandoned.load(Ordering::Relaxed)
    }

    pub(super) fn unclaim(&self, block: u64, count: u32) {
        if !self.is_abandoned() {
            let removed = self.books().unclaim(block, count);
            discard(removed);
        }
    }

    /// As `may_write`; when it is true, notes of the contents are void.
    pub(super) fn begin_to_write(&self, block: u64, moved: bool) -> bool {
        if self.is_abandoned() {
            return false;
        }
        let mut books = self.books();
        (moved || books.is_ours(block)) && books.move_out(block, 1)
    }

    pub(super) fn may_write(&self, block: u64, moved: bool) -> bool {
        if self.is_abandoned() {
            return false;
        }
        let books = self.books();
        books.claims(block) == 1 && (moved || books.is_ours(block))
    }
}

/// Gives the pages of segments back that were taken off the books. Called with no lock held: a segment that is a file
/// with a name is removed by Python code.
fn discard(removed: Vec<Removed>) {
    if removed.is_empty() {
        return;
    }
    Python::attach(|py| {
        // This may be in the middle of the unwinding of an exception of the user's.
        let pending = PyErr::take(py);
        for Removed(memory) in removed {
            if let Err(error) = memory.call_method0(py, intern!(py, "discard")) {
                error.write_unraisable(py, Some(memory.bind(py)));
            }
        }
        if let Some(pending) = pending {
            pending.restore(py);
        }
    });
}

/// Who uses which block of shared memory, in this process and, where this is the main one, in its workers.
// It takes no part in cyclic garbage collection: what it refers to, mappings, refer to nothing.
#[pyclass(frozen, module = "execution_dataflow._core")]
pub(crate) struct Ledger {
    shared: Arc<Shared>,
}

fn unknown(block: u64) -> PyErr {
    PyKeyError::new_err(format!("no shared block {block} is known here"))
}

impl Ledger {
    /// A lease with a claim that was already made.
    fn claimed(
        &self,
        py: Python<'_>,
        block: u64,
        part: Option<(usize, usize)>,
        writeable: bool,
        moved: bool,
    ) -> PyResult<Lease> {
        let found = {
            let books = self.shared.books();
            books.memory(block).map(|(memory, place)| (memory.clone_ref(py), place))
        };
        let Some((memory, place)) = found else { return Err(unknown(block)) };
        let (offset, length) = part.unwrap_or((0, place.size));
        let lease = Lease::new(
            self.shared.clone(),
            memory,
            (block, offset),
            (place.address.wrapping_add(offset), length),
            writeable,
            moved,
        );
        if offset.checked_add(length).is_none_or(|end| end > place.size) {
            return Err(PyValueError::new_err(format!(
                "{length} bytes at {offset} are not within the {} of block {block}",
                place.size
            )));
        }
        Ok(lease)
    }
}

#[pymethods]
impl Ledger {
    /// How far the number of a block is shifted against that of its segment.
    #[classattr]
    const INDEX_BITS: u32 = INDEX_BITS;
    #[classattr]
    const MAX_BLOCKS: usize = MAX_BLOCKS;

    #[new]
    fn new() -> Self {
        let shared = Shared {
            books: Mutex::new(Books::default()),
            abandoned: AtomicBool::new(false),
            copies: AtomicU64::new(0),
            bytes_copied: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes on a segment that is mapped: `bytes` exports it, `memory` keeps it so and has a method `discard`.
    fn add(
        &self,
        segment: u64,
        memory: &Bound<'_, PyAny>,
        bytes: &Bound<'_, PyAny>,
        block_size: usize,
        ours: bool,
    ) -> PyResult<bool> {
        let view = PyBuffer::<u8>::get(bytes)?;
        let (base, length) = (view.buf_ptr() as usize, view.len_bytes());
        drop(view);
        if block_size == 0 || length % block_size != 0 || length / block_size > MAX_BLOCKS {
            return Err(PyValueError::new_err(format!("{length} bytes are no blocks of {block_size}")));
        }
        let memory = memory.clone().unbind();
        let refused = self.shared.books().add(segment, memory, base, block_size, length / block_size, ours);
        Ok(refused.is_ok())
    }

    /// A writeable lease of a free block with a size between two bounds, of which `length` bytes are used.
    fn take(&self, py: Python<'_>, length: usize, most: usize) -> PyResult<Option<Lease>> {
        let taken = self.shared.books().take(length, most);
        taken.map(|block| self.claimed(py, block, Some((0, length)), true, false)).transpose()
    }

    /// A free block with a size between two bounds, claimed, for a worker.
    fn take_for(&self, worker: u32, least: usize, most: usize) -> Option<u64> {
        let mut books = self.shared.books();
        let block = books.take(least, most)?;
        books.hold(worker, block);
        let removed = books.unclaim(block, 1);
        debug_assert!(removed.is_empty());
        Some(block)
    }

    /// A read-only lease of the memory of a buffer if it lies in a block.
    fn lease_over(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<Option<Lease>> {
        let view = PyBuffer::<u8>::get(buffer)?;
        let (address, length) = (view.buf_ptr() as usize, view.len_bytes());
        let lease = self.lease_at(py, address, length);
        drop(view);
        lease
    }

    /// Another lease of a part of a block that is claimed.
    #[pyo3(signature = (block, offset, length, writeable=false))]
    fn lease(&self, py: Python<'_>, block: u64, offset: usize, length: usize, writeable: bool) -> PyResult<Lease> {
        if !self.shared.books().claim(block) {
            return Err(unknown(block));
        }
        self.claimed(py, block, Some((offset, length)), writeable, false)
    }

    /// A read-only lease of a part of a block if its contents are still those of a generation.
    fn revive(
        &self,
        py: Python<'_>,
        block: u64,
        generation: u64,
        offset: usize,
        length: usize,
    ) -> PyResult<Option<Lease>> {
        if !self.shared.books().revive(block, generation) {
            return Ok(None);
        }
        self.claimed(py, block, Some((offset, length)), false, false).map(Some)
    }

    /// The memory of a segment, its length, and the size of its blocks.
    fn segment(&self, py: Python<'_>, segment: u64) -> Option<(Py<PyAny>, usize, usize)> {
        let books = self.shared.books();
        books.segment(segment).map(|(memory, length, block_size)| (memory.clone_ref(py), length, block_size))
    }

    /// A read-only lease of a range of addresses if it lies in a block.
    fn lease_at(&self, py: Python<'_>, address: usize, length: usize) -> PyResult<Option<Lease>> {
        let found = {
            let mut books = self.shared.books();
            let found = if length == 0 { None } else { books.locate(address, length) };
            found.inspect(|&(block, _)| {
                books.claim(block);
            })
        };
        found.map(|(block, offset)| self.claimed(py, block, Some((offset, length)), false, false)).transpose()
    }

    /// Whether a block has just so many claims: nobody else will see what its receiver writes there. Notes of its contents
    /// are void from then on.
    fn move_out(&self, block: u64, claims: u32) -> bool {
        self.shared.books().move_out(block, claims)
    }

    fn generation(&self, block: u64) -> Option<u64> {
        self.shared.books().generation(block)
    }

    /// How many leases, parcels and holds of workers a block has.
    fn claims(&self, block: u64) -> u32 {
        self.shared.books().claims(block)
    }

    fn hold(&self, worker: u32, block: u64) -> PyResult<()> {
        if self.shared.books().hold(worker, block) { Ok(()) } else { Err(unknown(block)) }
    }

    fn unhold(&self, worker: u32, block: u64, count: u32) {
        let removed = self.shared.books().unhold(worker, block, count);
        discard(removed);
    }

    fn drop_holds(&self, worker: u32) {
        let removed = self.shared.books().drop_holds(worker);
        discard(removed);
    }

    fn held_by(&self, worker: u32) -> usize {
        self.shared.books().held_by(worker)
    }

    /// A lease of a part of a block that came with a message; in a worker it is owed to the main process.
    fn arrive(&self, py: Python<'_>, block: u64, offset: usize, length: usize, moved: bool) -> PyResult<Lease> {
        if !self.shared.books().arrive(block) {
            return Err(unknown(block));
        }
        self.claimed(py, block, Some((offset, length)), false, moved)
    }

    /// Gives a block, and the right to give it out again, to the main process.
    fn hand_over(&self, block: u64) {
        self.shared.books().hand_over(block);
    }

    fn is_introduced(&self, segment: u64) -> bool {
        self.shared.books().is_introduced(segment)
    }

    fn receive_loan(&self, block: u64) -> bool {
        self.shared.books().receive_loan(block)
    }

    fn give_back(&self) {
        let removed = self.shared.books().give_back();
        discard(removed);
    }

    fn take_returns(&self) -> Vec<(u64, u32)> {
        self.shared.books().take_returns()
    }

    /// Whether there is something to give back.
    #[getter]
    fn owes(&self) -> bool {
        self.shared.books().owes()
    }

    fn take_forgotten(&self) -> Vec<u64> {
        self.shared.books().take_forgotten()
    }

    /// Drops a segment that the main process let go of, without giving back its pages: that process did.
    fn forget(&self, segment: u64) -> bool {
        let removed = {
            let mut books = self.shared.books();
            if books.is_idle(segment) { books.remove(segment) } else { None }
        };
        removed.is_some()
    }

    /// Lets unused segments go, the oldest first, until the pool is within `limit` bytes; and keeps to it from now on.
    fn limit(&self, limit: usize) {
        let removed = {
            let mut books = self.shared.books();
            books.limit = limit;
            books.shrink(limit)
        };
        discard(removed);
    }

    /// Lets the segments go that nobody used for so many seconds.
    fn expire(&self, idle_seconds: f64) {
        let idle = Duration::try_from_secs_f64(idle_seconds).unwrap_or(Duration::MAX);
        let removed = self.shared.books().expire(idle);
        discard(removed);
    }

    /// In the child of a fork: from now on the end of a lease says nothing.
    fn abandon(&self) {
        self.shared.abandoned.store(true, Ordering::Relaxed);
    }

    /// Notes a copy that was made into a block by other means than `Lease.fill`.
    fn count_copy(&self, bytes: usize) {
        self.shared.count_copy(bytes);
    }

    /// Segments, blocks in use, free bytes, mapped bytes, copies made, bytes copied.
    fn counts(&self) -> (usize, usize, usize, usize, u64, u64) {
        let books = self.shared.books();
        let (segments, in_use) = books.counts();
        let copies = self.shared.copies.load(Ordering::Relaxed);
        (segments, in_use, books.pooled, books.mapped, copies, self.shared.bytes_copied.load(Ordering::Relaxed))
    }
}
