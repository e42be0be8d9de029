//! What a run adds while it goes on, by numbers: expansions, and maps.

use std::cmp;

use crate::ids::InstanceId;
use crate::sync::{AtomicU32, OnceLock, Ordering};

const BUCKETS: usize = 32;

/// Cells that are filled once; a bucket is made when its first cell is needed.
type Bucket<T> = OnceLock<Box<[OnceLock<Box<T>>]>>;

/// What a run adds while it goes on: never moved and never removed before the run is dropped. Numbers start at 1.
pub(crate) struct Arena<T> {
    buckets: [Bucket<T>; BUCKETS],
    next: AtomicU32,
}

impl<T> Arena<T> {
    pub(crate) fn new() -> Self {
        Self { buckets: std::array::from_fn(|_| OnceLock::default()), next: AtomicU32::new(1) }
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> &T {
        let (bucket, offset) = place(number);
        self.buckets[bucket]
            .get()
            .and_then(|cells| cells[offset].get())
            .expect("an instance is added before its tasks are")
    }

    /// Adds what `make` makes of its number.
    pub(crate) fn add(&self, make: impl FnOnce(u32) -> T) -> &T {
        // Relaxed: only the number must be unique; the cell publishes what is in it.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        assert!(number < InstanceId::LIMIT, "a run has fewer expansions than it has numbers for");
        let (bucket, offset) = place(number);
        let cells = self.buckets[bucket].get_or_init(|| (0..1usize << bucket).map(|_| OnceLock::default()).collect());
        cells[offset].get_or_init(|| Box::new(make(number)))
    }

    /// A binary search: right if what `order` compares grows with the numbers.
    pub(crate) fn search(&self, order: impl Fn(&T) -> cmp::Ordering) -> Option<&T> {
        // Relaxed: a cell publishes what is in it, and one that is not filled yet ends the search.
        let (mut low, mut high) = (1, self.next.load(Ordering::Relaxed));
        while low < high {
            let middle = low + (high - low) / 2;
            let (bucket, offset) = place(middle);
            let found = self.buckets[bucket].get()?[offset].get()?;
            match order(found) {
                cmp::Ordering::Equal => return Some(found),
                cmp::Ordering::Less => low = middle + 1,
                cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let cells = self.buckets.iter().filter_map(OnceLock::get).flatten();
        cells.filter_map(|cell| cell.get().map(AsRef::as_ref))
    }
}

/// Bucket and offset of a number from 1 on: bucket k holds 2^k numbers.
fn place(id: u32) -> (usize, usize) {
    let bucket = id.ilog2();
    (bucket as usize, (id - (1 << bucket)) as usize)
}
