//! How much memory the values between operations hold, for engines with a memory limit.
//!
//! A value counts once, however many outputs have it, and arrays count as what they are views of: entries are keyed by the
//! address of the owner, which lives as long as a value that leads to it.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt};

use crate::arrays;
use crate::kept::{Kept, intern};

/// Values smaller than this are not worth the counting.
const SMALLEST: u64 = 1024;
/// Not declared, or not observed yet.
const UNKNOWN: u64 = u64::MAX;

/// How large the outputs of one kind of operation are, in bytes: what was declared, or else what was seen of late.
///
/// As with durations, what is seen moves the guess up at once and down slowly. Relaxed: hints.
pub(crate) struct OutputSize {
    declared: u64,
    observed: AtomicU64,
}

impl OutputSize {
    pub(crate) fn new(declared: Option<u64>) -> Self {
        Self { declared: declared.unwrap_or(UNKNOWN), observed: AtomicU64::new(UNKNOWN) }
    }

    /// What to expect, if anything is known.
    pub(crate) fn expected(&self) -> Option<u64> {
        let known = if self.declared == UNKNOWN { self.observed.load(Ordering::Relaxed) } else { self.declared };
        (known != UNKNOWN).then_some(known)
    }

    pub(crate) fn note(&self, bytes: u64) {
        move_guess(&self.observed, bytes);
    }
}

fn move_guess(guess: &AtomicU64, seen: u64) {
    let before = guess.load(Ordering::Relaxed);
    if before == UNKNOWN || seen > before {
        guess.store(seen, Ordering::Relaxed);
    } else if seen < before / 2 {
        guess.store(before - before / 8, Ordering::Relaxed);
    }
}

struct Entry {
    bytes: u64,
    /// In how many outputs it is.
    count: u32,
}

/// What the values of an engine's runs hold.
pub(crate) struct ValueSizes {
    entries: Mutex<HashMap<usize, Entry>>,
    /// What to expect of an operation of which nothing is known; before the first, that it fills the memory.
    typical: AtomicU64,
    limit: u64,
}

impl ValueSizes {
    pub(crate) fn new(limit: u64) -> Self {
        Self { entries: Mutex::new(HashMap::new()), typical: AtomicU64::new(UNKNOWN), limit }
    }

    pub(crate) fn typical(&self) -> u64 {
        self.typical.load(Ordering::Relaxed).min(self.limit)
    }

    /// Notes the size of what an attempt has made.
    pub(crate) fn note_attempt(&self, size: &OutputSize, bytes: u64) {
        size.note(bytes);
        move_guess(&self.typical, bytes);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<usize, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a value that was added.
    pub(crate) fn known(&self, value: &Bound<'_, PyAny>) -> u64 {
        let key = key(value);
        self.entries().get(&key).filter(|entry| entry.count == 1).map_or(0, |entry| entry.bytes)
    }

    /// Counts a value that an output is to keep; gives by how much the total grows, and the value's size.
    pub(crate) fn add(&self, value: &Bound<'_, PyAny>) -> PyResult<(u64, u64)> {
        if is_small(value) {
            return Ok((0, 0));
        }
        let key = key(value);
        if let Some(entry) = self.entries().get_mut(&key) {
            entry.count += 1;
            return Ok((0, entry.bytes));
        }
        // Asked without the lock: it may be any code.
        let bytes = size(value)?;
        if bytes < SMALLEST {
            return Ok((0, bytes));
        }
        let mut entries = self.entries();
        let entry = entries.entry(key).or_insert(Entry { bytes, count: 0 });
        entry.count += 1;
        Ok((if entry.count == 1 { bytes } else { 0 }, bytes))
    }

    /// A value leaves an output; gives by how much the total shrinks.
    pub(crate) fn remove(&self, value: &Bound<'_, PyAny>) -> u64 {
        if is_small(value) {
            return 0;
        }
        let key = key(value);
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(&key) else { return 0 };
        entry.count -= 1;
        if entry.count > 0 {
            return 0;
        }
        let bytes = entry.bytes;
        entries.remove(&key);
        bytes
    }
}

fn is_small(value: &Bound<'_, PyAny>) -> bool {
    value.is_none()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_exact_instance_of::<PyInt>()
}

/// The address of what owns the memory: for an array the array, or other object, at the end of its bases.
fn key(value: &Bound<'_, PyAny>) -> usize {
    owner(value).as_ptr() as usize
}

fn owner<'py>(value: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
    let mut at = value.clone();
    while arrays::is_plain_array(&at) {
        match at.getattr(intern!(at.py(), "base")) {
            Ok(base) if !base.is_none() => at = base,
            _ => break,
        }
    }
    at
}

/// The size of what a value holds, in bytes.
pub(crate) fn size(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    let py = value.py();
    let owner = owner(value);
    if arrays::is_plain_array(&owner) && !has_objects(&owner)? {
        return owner.getattr(intern!(py, "nbytes"))?.extract();
    }
    static SIZE_OF: Kept<Py<PyAny>> = Kept::new();
    let size_of =
        SIZE_OF.get_or_make(|| Ok::<_, PyErr>(py.import("execution_dataflow.sizes")?.getattr("size_of")?.unbind()))?;
    size_of.bind(py).call1((value,))?.extract()
}

fn has_objects(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    array.getattr(intern!(array.py(), "dtype"))?.getattr(intern!(array.py(), "hasobject"))?.extract()
}
