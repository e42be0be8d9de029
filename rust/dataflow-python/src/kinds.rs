//! The kinds of node of a graph: one for each class with one port signature, and which of their ports fit each other.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use dataflow_core::ids::ShapeId;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::layout::PortLayout;

/// What all nodes of a kind have in common.
pub(crate) struct Kind {
    pub(crate) layout: Py<PortLayout>,
    pub(crate) shape: ShapeId,
    /// The numbers of its first ports among the ports of all kinds.
    first_input: u32,
    first_output: u32,
}

/// Addresses and port numbers need mixing and nothing else: nobody chooses them to collide.
#[derive(Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, value: u64) {
        // Fibonacci hashing; the rotation brings the mixed bits down to where a table of any size looks.
        self.0 = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) type SpreadMap<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

#[derive(Default)]
pub(crate) struct Kinds {
    rows: Vec<Kind>,
    /// By the addresses of the class and of the signature that an operation had when it was added.
    known: SpreadMap<(usize, usize), u32>,
    /// The classes and signatures themselves: while they live, nothing else has their addresses.
    kept: Vec<(Py<PyAny>, Py<PyAny>)>,
    latest: Option<((usize, usize), u32)>,
    /// An output and an input, numbered among those of all kinds, that may be connected.
    fitting: HashSet<u64, BuildHasherDefault<Spread>>,
    latest_fit: Option<u64>,
    inputs: u32,
    outputs: u32,
}

impl Kinds {
    #[inline]
    pub(crate) fn get(&self, kind: u32) -> &Kind {
        &self.rows[kind as usize]
    }

    #[inline]
    pub(crate) fn layout(&self, kind: u32) -> &PortLayout {
        self.rows[kind as usize].layout.get()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The kind of operations of a class with a signature.
    #[inline]
    pub(crate) fn find(&mut self, class: usize, signature: usize) -> Option<u32> {
        let key = (class, signature);
        if let Some((latest, kind)) = self.latest
            && latest == key
        {
            return Some(kind);
        }
        let kind = *self.known.get(&key)?;
        self.latest = Some((key, kind));
        Some(kind)
    }

    /// Adds a kind, or a further signature of one: as it was before it was frozen.
    pub(crate) fn add(
        &mut self,
        class: Py<PyAny>,
        signature: Py<PyAny>,
        layout: Py<PortLayout>,
        shape: ShapeId,
    ) -> u32 {
        let frozen = layout.get().signature.as_ptr() as usize;
        let address = class.as_ptr() as usize;
        let key = (address, signature.as_ptr() as usize);
        let kind = self.known.get(&(address, frozen)).copied().unwrap_or_else(|| {
            let (inputs, outputs) = (layout.get().input_flags.len() as u32, layout.get().output_flags.len() as u32);
            let kind = self.rows.len() as u32;
            self.rows.push(Kind { layout, shape, first_input: self.inputs, first_output: self.outputs });
            self.inputs += inputs;
            self.outputs += outputs;
            kind
        });
        self.known.insert(key, kind);
        self.known.insert((address, frozen), kind);
        self.kept.push((class, signature));
        kind
    }

    /// Whether an output of one kind is known to fit an input of another.
    #[inline]
    pub(crate) fn fit(&mut self, source: u32, output: u32, target: u32, input: u32) -> bool {
        let pair = self.pair(source, output, target, input);
        if self.latest_fit == Some(pair) {
            return true;
        }
        let known = self.fitting.contains(&pair);
        if known {
            self.latest_fit = Some(pair);
        }
        known
    }

    /// From now on they fit.
    pub(crate) fn let_fit(&mut self, source: u32, output: u32, target: u32, input: u32) {
        self.fitting.insert(self.pair(source, output, target, input));
    }

    #[inline]
    fn pair(&self, source: u32, output: u32, target: u32, input: u32) -> u64 {
        let (output, input) = (self.get(source).first_output + output, self.get(target).first_input + input);
        u64::from(output) << 32 | u64::from(input)
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.rows.iter().try_for_each(|kind| visit.call(&kind.layout))?;
        self.kept.iter().try_for_each(|(class, signature)| {
            visit.call(class)?;
            visit.call(signature)
        })
    }
}
