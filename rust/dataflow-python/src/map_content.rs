//! What a map works with: its sources, what its items share, and where their results go.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dataflow_core::items::MAX_ITEMS;
use pyo3::exceptions::PyBaseException;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use smallvec::SmallVec;

use crate::conclude;
use crate::dimensions;
use crate::frame::{Frame, Values};
use crate::gather::wrong;
use crate::map_spec::MapSpec;
use crate::missing::Missing;
use crate::node_spec::{CallKind, NodeSpec};
use crate::python_errors;
use crate::results::Column;
use crate::sources::Source;

/// What was pulled for one item: an element of each zipped source.
pub(crate) type Element = SmallVec<[Py<PyAny>; 1]>;
/// Where an input of an item comes from.
#[derive(Copy, Clone)]
enum Origin {
    /// The element of a zipped source.
    Zipped(usize),
    /// The same for all items, or null: it belongs to the frame of the parent's attempt.
    Shared(*mut ffi::PyObject),
}

/// What a map works with, from the expansion of the parent's attempt until it ends.
pub(crate) struct Content {
    pub(crate) map: Py<MapSpec>,
    /// The parent's attempt, which keeps the inputs alive.
    pub(crate) frame: Frame,
    pub(crate) sources: SmallVec<[Source; 1]>,
    origins: SmallVec<[Origin; 4]>,
    pub(crate) columns: SmallVec<[Column; 1]>,
    pub(crate) failures: Mutex<Vec<(u32, u32, Py<PyBaseException>)>>,
    /// What went wrong with a source.
    pub(crate) fault: Mutex<Option<PyErr>>,
    /// Whether an item that was taken has no outcome.
    pub(crate) lacks_outcomes: AtomicBool,
    /// What the results hold so far, in bytes, where memory is limited.
    pub(crate) held: AtomicU64,
    /// Where a run takes over what an earlier one has done: gives the outputs of an item by its index, or nothing.
    pub(crate) restored: Option<Py<PyAny>>,
}

/// The map, for the scheduler.
pub(crate) struct MapRun(UnsafeCell<Option<Box<Content>>>);

// SAFETY: the content is only shared while the map runs, and only taken by whoever ends it (see `content` and `take`). The
// pointers in it belong to the parent's attempt, which lives as long; everything else is `Sync`.
unsafe impl Sync for MapRun {}
// SAFETY: as above.
unsafe impl Send for MapRun {}

impl MapRun {
    pub(crate) fn new(content: Content) -> Self {
        Self(UnsafeCell::new(Some(Box::new(content))))
    }

    /// # Safety
    /// The caller has a slot of the map.
    #[inline]
    pub(crate) unsafe fn content(&self) -> &Content {
        // SAFETY: the content is taken with the last slot.
        unsafe { (*self.0.get()).as_deref().expect("a map has its content until it ends") }
    }

    /// # Safety
    /// The caller has given the last slot back.
    pub(crate) unsafe fn take(&self) -> Box<Content> {
        // SAFETY: nobody else has a slot.
        unsafe { (*self.0.get()).take().expect("a map ends once") }
    }
}

/// Makes it from the inputs of the parent's attempt; gives the number of items, if it is known.
pub(crate) fn content(
    py: Python<'_>,
    frame: Frame,
    map: &Py<MapSpec>,
    hooks: &Py<PyAny>,
) -> PyResult<(Content, Option<usize>)> {
    let spec = map.get();
    let sources = spec.over.iter().map(|&port| {
        // SAFETY: an input of a live attempt, which has a value, since the ports that a map goes over are required.
        let value = unsafe { Bound::from_borrowed_ptr(py, frame.input(port)) };
        Source::new(&value, &frame.spec().label, &frame.spec().input_name(py, port), hooks)
    });
    let sources = sources.collect::<PyResult<SmallVec<[Source; 1]>>>()?;
    let len = common_length(py, &frame, spec, &sources)?;
    let item = spec.item.get();
    let origins = (0..item.input_checks.len()).map(|port| match spec.over.iter().position(|&over| over == port) {
        Some(source) => Origin::Zipped(source),
        None => Origin::Shared(frame.input(port)),
    });
    let content = Content {
        origins: origins.collect(),
        columns: (0..item.output_flags.len()).map(|_| Column::new(len, spec.stacks)).collect(),
        map: map.clone_ref(py),
        frame,
        sources,
        failures: Mutex::default(),
        fault: Mutex::default(),
        lacks_outcomes: AtomicBool::new(false),
        held: AtomicU64::new(0),
        restored: None,
    };
    Ok((content, len))
}

/// The number of items, if every source knows it.
fn common_length(py: Python<'_>, frame: &Frame, spec: &MapSpec, sources: &[Source]) -> PyResult<Option<usize>> {
    let lengths: SmallVec<[Option<usize>; 4]> = sources.iter().map(|source| source.len(py)).collect();
    let known: SmallVec<[usize; 4]> = lengths.iter().copied().flatten().collect();
    if let Some(&long) = known.iter().find(|&&len| len > MAX_ITEMS) {
        return Err(python_errors::contract(
            py,
            format!("{} cannot map over {long} items: {MAX_ITEMS} are the most of one map", frame.spec().label),
        ));
    }
    if known.iter().any(|len| *len != known[0]) {
        let parts = spec
            .over
            .iter()
            .zip(&lengths)
            .filter_map(|(&port, len)| len.map(|len| format!("{:?} has {len}", frame.spec().input_name(py, port))));
        return Err(python_errors::contract(
            py,
            format!(
                "{} maps over inputs of different lengths: {}; zipped inputs must have equally many items",
                frame.spec().label,
                parts.collect::<Vec<_>>().join(", ")
            ),
        ));
    }
    Ok(if known.len() == sources.len() { known.first().copied() } else { None })
}

impl Content {
    /// Gives the frame of an item its inputs, each checked. What is made for the item is kept by `own`, or by the frame
    /// itself if it outlives the call.
    #[inline]
    pub(crate) fn give_inputs(
        &self,
        py: Python<'_>,
        frame: &mut Frame,
        index: usize,
        pulled: Option<&[Py<PyAny>]>,
        own: &mut Element,
        outlives: bool,
    ) -> PyResult<()> {
        let spec = frame.spec();
        for (port, origin) in self.origins.iter().enumerate() {
            match *origin {
                Origin::Shared(value) => frame.push_input(value),
                Origin::Zipped(source) => {
                    let value = match pulled {
                        Some(pulled) => pulled[source].bind(py).clone(),
                        None => self.sources[source].element(py, index)?,
                    };
                    if let Some(fault) = spec.input_checks[port].fault(&value)? {
                        return Err(wrong(py, spec, port, &fault));
                    }
                    if outlives {
                        frame.push_owned_input(value.unbind());
                    } else {
                        frame.push_input(value.as_ptr());
                        own.push(value.unbind());
                    }
                }
            }
        }
        dimensions::check_inputs(py, spec, frame)
    }

    #[inline]
    pub(crate) fn put_returned(
        &self,
        py: Python<'_>,
        spec: &NodeSpec,
        frame: &Frame,
        value: Bound<'_, PyAny>,
        index: usize,
        hooks: &Py<PyAny>,
    ) -> PyResult<()> {
        if spec.has_one_output && spec.kind == CallKind::Function {
            spec.check_output(0, &value)?;
            self.weigh(&value);
            return self.columns[0].put(index, value, hooks);
        }
        let outputs = conclude::outputs(py, spec, frame, value)?;
        self.put_outputs(py, index, outputs, hooks)
    }

    pub(crate) fn put_outputs(&self, py: Python<'_>, index: usize, outputs: Values, hooks: &Py<PyAny>) -> PyResult<()> {
        for (column, value) in self.columns.iter().zip(outputs) {
            let value = value.unwrap_or_else(|| py.None());
            self.weigh(value.bind(py));
            column.put(index, value.into_bound(py), hooks)?;
        }
        Ok(())
    }

    /// Takes an item over from an earlier run; `false` if that has not come to it.
    pub(crate) fn put_restored(
        &self,
        py: Python<'_>,
        restored: &Py<PyAny>,
        index: usize,
        hooks: &Py<PyAny>,
    ) -> PyResult<bool> {
        let outputs = restored.bind(py).call1((index,))?;
        if outputs.is_none() {
            return Ok(false);
        }
        let missing = Missing::object(py)?;
        let outputs = outputs.cast_into::<PyTuple>()?;
        let values = outputs.iter().map(|value| if value.is(missing) { None } else { Some(value.unbind()) });
        self.put_outputs(py, index, values.collect(), hooks).map(|()| true)
    }

    #[inline]
    fn weigh(&self, value: &Bound<'_, PyAny>) {
        if let Some(limits) = self.frame.limits() {
            self.held.fetch_add(limits.result_comes(self.map.get().item.get(), value), Ordering::Relaxed);
        }
    }

    pub(crate) fn pull(&self, py: Python<'_>, index: usize) -> PyResult<Option<Element>> {
        if index >= MAX_ITEMS {
            let label = &self.frame.spec().label;
            let text = format!("{label} cannot map over more than {MAX_ITEMS} items");
            return Err(python_errors::contract(py, text));
        }
        let elements = self.sources.iter().map(|source| Ok(source.next(py, index)?.map(Bound::unbind)));
        let elements = elements.collect::<PyResult<SmallVec<[Option<Py<PyAny>>; 4]>>>()?;
        let Some(ended) = elements.iter().position(Option::is_none) else {
            return Ok(Some(elements.into_iter().flatten().collect()));
        };
        match elements.iter().position(Option::is_some) {
            None => Ok(None),
            Some(longer) => {
                let spec = self.frame.spec();
                let name = |source: usize| spec.input_name(py, self.map.get().over[source]);
                Err(python_errors::contract(
                    py,
                    format!(
                        "{} maps over inputs of different lengths: {:?} ended after {index} items, and {:?} has more; \
                         zipped inputs must have equally many items",
                        spec.label,
                        name(ended),
                        name(longer)
                    ),
                ))
            }
        }
    }
}
