//! Write-once values with consumer counts: a value leaves with its last consumer.
//!
//! The protocol. A slot is written at most once, by the thread that claimed the producing node, before it delivers the
//! node's outcome. Consumers read it after their own trigger, which happens after every producer's delivery, and give
//! their share back once they have an outcome themselves. Who gives back the last share takes the value. Shares that
//! nobody gives back (retained outputs) keep the value for the result. Modelled in `tests/loom_protocols`.
#![allow(unsafe_code)]

use crate::ids::SlotId;
use crate::sync::{AtomicU32, Ordering, UnsafeCell};

struct Slot<V> {
    value: UnsafeCell<Option<V>>,
    shares: AtomicU32,
}

/// The values of one plan instance, one slot for each output port.
pub struct SlotTable<V> {
    slots: Box<[Slot<V>]>,
}

// SAFETY: values move between threads (`V: Send`), and a shared `&V` is handed out by `get` to several consumers at
// once (`V: Sync`). The accesses to each cell are ordered by the protocol in the module's text.
unsafe impl<V: Send + Sync> Sync for SlotTable<V> {}

impl<V> SlotTable<V> {
    /// Makes empty slots with the given numbers of shares.
    pub fn new(shares: impl Iterator<Item = u32>) -> Self {
        Self { slots: shares.map(|n| Slot { value: UnsafeCell::new(None), shares: AtomicU32::new(n) }).collect() }
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Stores the value of an output, or hands it back when nobody will ask for it.
    ///
    /// # Safety
    /// The caller holds the claim on the producing node, has not delivered its outcome yet and writes this slot once.
    #[inline]
    pub unsafe fn put(&self, slot: SlotId, value: V) -> Option<V> {
        let slot = &self.slots[slot.index()];
        // Relaxed: nobody gives a share back before the producer's delivery, so the count is the one it began with.
        if slot.shares.load(Ordering::Relaxed) == 0 {
            return Some(value);
        }
        // SAFETY: by the caller's claim nobody else writes, and readers come after the delivery.
        slot.value.with_mut(|cell| unsafe { *cell = Some(value) });
        None
    }

    /// The value of an output, `None` when its producer left it unset.
    ///
    /// # Safety
    /// The producer has delivered, and the caller either owns a share that it has not given back while it uses the
    /// reference, or the run is finished.
    #[inline]
    pub unsafe fn get(&self, slot: SlotId) -> Option<&V> {
        // SAFETY: written before the delivery that the caller came after; taken only with the last share.
        self.slots[slot.index()].value.with(|cell| unsafe { (*cell).as_ref() })
    }

    /// Gives one share back; with the last one the value leaves.
    ///
    /// # Safety
    /// The producer has delivered, the caller owns the share and holds no reference from [`SlotTable::get`] any more.
    #[inline]
    pub unsafe fn release(&self, slot: SlotId) -> Option<V> {
        let slot = &self.slots[slot.index()];
        // Acquire: pairs with the release half of the subtraction below, as does its own acquire half. Who finds one
        // share left owns it, and nobody else changes the count any more: most values have one consumer.
        if slot.shares.load(Ordering::Acquire) == 1 {
            slot.shares.store(0, Ordering::Relaxed);
        } else if slot.shares.fetch_sub(1, Ordering::AcqRel) != 1 {
            // AcqRel: the release half publishes this consumer's reads, the acquire half of the last one sees them all.
            return None;
        }
        // SAFETY: every other share is back, so no reader is left.
        slot.value.with_mut(|cell| unsafe { (*cell).take() })
    }

    /// Takes a value whose only share is the caller's, which stays owed. `None` when others share it.
    ///
    /// # Safety
    /// As [`SlotTable::release`].
    pub unsafe fn take_sole(&self, slot: SlotId) -> Option<V> {
        let slot = &self.slots[slot.index()];
        // Acquire: pairs with the release half of the other consumers' `release`.
        if slot.shares.load(Ordering::Acquire) == 1 {
            // SAFETY: the one share is the caller's, so nobody else reads.
            return slot.value.with_mut(|cell| unsafe { (*cell).take() });
        }
        None
    }

    /// How many shares of a slot are not given back yet.
    pub fn shares(&self, slot: SlotId) -> u32 {
        self.slots[slot.index()].shares.load(Ordering::Acquire)
    }

    /// Whether somebody still owns a share of the slot.
    pub fn is_kept(&self, slot: SlotId) -> bool {
        self.slots[slot.index()].shares.load(Ordering::Acquire) > 0
    }

    /// Empties every slot.
    ///
    /// # Safety
    /// The run is finished and nobody reads its values any more.
    pub unsafe fn take_all(&self) -> impl Iterator<Item = V> + '_ {
        // SAFETY: as the caller promises.
        self.slots.iter().filter_map(|slot| slot.value.with_mut(|cell| unsafe { (*cell).take() }))
    }

    /// The values that are present.
    ///
    /// # Safety
    /// The run is finished, and nothing calls [`SlotTable::take_all`] while the references live.
    pub unsafe fn iter(&self) -> impl Iterator<Item = &V> + '_ {
        // SAFETY: as the caller promises.
        self.slots.iter().filter_map(|slot| slot.value.with(|cell| unsafe { (*cell).as_ref() }))
    }
}
