//! What an input of a plan reads, in four bytes.

use std::fmt;

use crate::ids::SlotId;

const CONSTANT: u32 = 1 << 31;

/// One source of one input: a slot, a constant or nothing.
#[derive(Copy, Clone, Eq, PartialEq)]
#[repr(transparent)]
pub struct Source(u32);

/// A [`Source`] taken apart.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum SourceKind {
    /// The value in that slot.
    Slot(SlotId),
    /// The constant of that index.
    Constant(u32),
    /// Nothing: the input is optional and was left out.
    Unbound,
}

impl Source {
    /// No source at all.
    pub const UNBOUND: Self = Self(u32::MAX);

    #[inline]
    pub(crate) fn slot(slot: u32) -> Self {
        debug_assert!(slot < CONSTANT, "the graph bounds the number of outputs");
        Self(slot)
    }

    #[inline]
    pub(crate) fn constant(constant: u32) -> Self {
        debug_assert!(constant <= crate::graph::MAX_CONSTANT, "the graph bounds constants");
        Self(constant | CONSTANT)
    }

    /// What the source is.
    #[inline]
    #[must_use]
    pub const fn kind(self) -> SourceKind {
        if self.0 < CONSTANT {
            SourceKind::Slot(SlotId(self.0))
        } else if self.0 == u32::MAX {
            SourceKind::Unbound
        } else {
            SourceKind::Constant(self.0 & !CONSTANT)
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(formatter)
    }
}
