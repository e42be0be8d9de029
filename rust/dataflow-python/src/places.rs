//! Where in the user's code the nodes of a graph were added: a code object and an instruction in it, which becomes a line
//! only when somebody asks.
//!
//! Nodes that were added one after another at one place share an entry, so that a loop of a million has one.
#![allow(unsafe_code)]

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{PyTraverseError, PyVisit};

use crate::builder::GraphBuilder;
use crate::kept::intern;
use crate::kinds::SpreadMap;

/// An instruction of a code object that is no part of this package, and is being executed.
pub(crate) struct Here<'py> {
    code: Bound<'py, PyAny>,
    instruction: c_int,
}

enum Place {
    Code { code: Py<PyAny>, instruction: c_int },
    Told(Py<PyAny>),
}

/// The places of the nodes of one graph.
pub(crate) struct Places {
    /// What the file names of this package's own code begin with.
    home: String,
    /// Whether a code object is the package's own; while it lives here, nothing else has its address.
    seen: SpreadMap<usize, (Py<PyAny>, bool)>,
    /// The user's code that was found last: the same again needs no look into `seen`.
    latest: usize,
    /// What stands for the place of whatever is added now.
    told: Option<Py<PyAny>>,
    places: Vec<Place>,
    numbers: SpreadMap<(usize, usize), u32>,
    /// The first node of each run of nodes from one place, and the place.
    runs: Vec<(u32, u32)>,
}

impl Places {
    pub(crate) fn new(home: String) -> Self {
        Self {
            home,
            seen: SpreadMap::default(),
            latest: 0,
            told: None,
            places: Vec::new(),
            numbers: SpreadMap::default(),
            runs: Vec::new(),
        }
    }

    /// From now on nodes are added at `place`, whatever code does it; `None` lets the code be the place again.
    pub(crate) fn tell(&mut self, place: Option<Py<PyAny>>) -> Option<Py<PyAny>> {
        std::mem::replace(&mut self.told, place)
    }

    /// Remembers where a node, and those after it, were added. Runs no Python code.
    #[inline]
    pub(crate) fn note(&mut self, node: u32, here: Option<Here<'_>>) {
        let place = if let Some(told) = &self.told {
            // SAFETY: whoever adds nodes is attached.
            let told = told.clone_ref(unsafe { Python::assume_attached() });
            self.push(Place::Told(told))
        } else {
            let Some(Here { code, instruction }) = here else { return };
            let key = (code.as_ptr() as usize, instruction as usize);
            match self.runs.last().map(|&(_, place)| (place, &self.places[place as usize])) {
                Some((_, Place::Code { code: last, instruction: at })) if last.is(&code) && *at == instruction => {
                    return;
                }
                _ => match self.numbers.get(&key) {
                    Some(&number) => number,
                    None => {
                        let number = self.push(Place::Code { code: code.unbind(), instruction });
                        self.numbers.insert(key, number);
                        number
                    }
                },
            }
        };
        self.runs.push((node, place));
    }

    fn push(&mut self, place: Place) -> u32 {
        self.places.push(place);
        self.places.len() as u32 - 1
    }

    /// Remembers for copies of some nodes of another graph where those were added.
    pub(crate) fn copy(&mut self, py: Python<'_>, other: &Self, first: u32, end: u32, copied: u32) {
        let start = other.runs.partition_point(|&(node, _)| node <= first).saturating_sub(1);
        for &(node, place) in other.runs[start..].iter().take_while(|&&(node, _)| node < end) {
            let place = match &other.places[place as usize] {
                Place::Told(told) => Place::Told(told.clone_ref(py)),
                Place::Code { code, instruction } => {
                    Place::Code { code: code.clone_ref(py), instruction: *instruction }
                }
            };
            let number = self.push(place);
            self.runs.push((copied + node.saturating_sub(first), number));
        }
    }

    fn place_of(&self, node: u32) -> Option<&Place> {
        let after = self.runs.partition_point(|&(first, _)| first <= node);
        let (_, place) = *self.runs.get(after.checked_sub(1)?)?;
        self.places.get(place as usize)
    }

    /// The file, the line and the function in which a node was added, or what was told as its place; `None` if nobody
    /// knows.
    pub(crate) fn describe<'py>(&self, py: Python<'py>, node: u32) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self.place_of(node) {
            None => None,
            Some(Place::Told(place)) => Some(place.bind(py).clone()),
            Some(Place::Code { code, instruction }) => {
                let code = code.bind(py);
                // SAFETY: attached; `PyFrame_GetCode` gave it, so that it is a code object.
                let line = unsafe { ffi::PyCode_Addr2Line(code.as_ptr().cast(), *instruction) };
                let file = code.getattr(intern!(py, "co_filename"))?;
                let function = code.getattr(intern!(py, "co_name"))?;
                Some((file, line, function).into_pyobject(py)?.into_any())
            }
        })
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.seen.values().try_for_each(|(code, _)| visit.call(code))?;
        self.told.iter().try_for_each(|told| visit.call(told))?;
        self.places.iter().try_for_each(|place| match place {
            Place::Code { code, .. } => visit.call(code),
            Place::Told(told) => visit.call(told),
        })
    }

    /// An empty one in its place.
    pub(crate) fn take(&mut self) -> Self {
        let home = std::mem::take(&mut self.home);
        std::mem::replace(self, Self::new(home))
    }
}

/// A frame, or the end of the stack.
struct Frame(*mut ffi::PyFrameObject);

impl Frame {
    /// The innermost one of this thread.
    fn innermost(_: Python<'_>) -> Self {
        // SAFETY: attached; a new reference or null.
        Self(unsafe { ffi::PyThreadState_GetFrame(ffi::PyThreadState_Get()) })
    }

    fn is_none(&self) -> bool {
        self.0.is_null()
    }

    fn caller(&self) -> Self {
        // SAFETY: a frame; a new reference or null.
        Self(unsafe { ffi::PyFrame_GetBack(self.0) })
    }

    fn code<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        // SAFETY: a frame; a new reference, never null.
        unsafe { Bound::from_owned_ptr(py, ffi::PyFrame_GetCode(self.0).cast()) }
    }

    fn instruction(&self) -> c_int {
        // SAFETY: a frame.
        unsafe { ffi::PyFrame_GetLasti(self.0) }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // SAFETY: attached, as whoever made it; an owned reference or null.
        unsafe { ffi::Py_XDECREF(self.0.cast()) };
    }
}

/// The user's code that has called into the package, and where it is. The builder must not be borrowed: making a frame's
/// object may run the garbage collector.
#[inline]
pub(crate) fn here<'py>(slf: &Bound<'py, GraphBuilder>) -> Option<Here<'py>> {
    let py = slf.py();
    if slf.borrow().places.home.is_empty() {
        return None;
    }
    // The innermost frame is the method of the package that calls the builder.
    let innermost = Frame::innermost(py);
    if innermost.is_none() {
        return None;
    }
    let mut frame = innermost.caller();
    while !frame.is_none() {
        let code = frame.code(py);
        let address = code.as_ptr() as usize;
        let this = slf.borrow();
        let (is_latest, seen) = (this.places.latest == address, this.places.seen.get(&address).map(|&(_, own)| own));
        drop(this);
        if is_latest || !seen.unwrap_or_else(|| look_at(slf, &code)) {
            if !is_latest {
                slf.borrow_mut().places.latest = address;
            }
            return Some(Here { code, instruction: frame.instruction() });
        }
        frame = frame.caller();
    }
    None
}

/// Whether code that was not seen before is the package's own.
#[cold]
fn look_at(slf: &Bound<'_, GraphBuilder>, code: &Bound<'_, PyAny>) -> bool {
    let file = code.getattr(intern!(code.py(), "co_filename")).ok();
    let file = file.as_ref().and_then(|file| file.cast::<PyString>().ok());
    let mut this = slf.borrow_mut();
    let is_own = file.is_some_and(|file| file.to_string_lossy().starts_with(&this.places.home));
    this.places.seen.insert(code.as_ptr() as usize, (code.clone().unbind(), is_own));
    is_own
}
