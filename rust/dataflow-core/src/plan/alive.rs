//! How many values are alive.

/// The outputs of a node.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Values {
    pub(super) made: u32,
    /// Those among them that somebody reads.
    pub(super) read: u32,
}

/// How many values were alive at most: by the first number, then by the second.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peak {
    /// With the outputs that nobody reads, which a run keeps to its end by default.
    with_results: u64,
    /// Without them.
    in_passing: u64,
}

impl Peak {
    /// Whether this is about as low as the other one: a sixteenth more is not worth the price of gates.
    pub(super) fn is_about(self, other: Self) -> bool {
        let near = |peak: u64| peak + peak / 16;
        self.with_results <= near(other.with_results) && self.in_passing <= near(other.in_passing)
    }
}

/// The values that are alive on the way along an order.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Alive {
    now: Peak,
    peak: Peak,
}

impl Alive {
    /// A node makes its outputs, while its inputs are still there.
    #[inline]
    pub(super) fn make(&mut self, values: Values) {
        self.now.with_results += u64::from(values.made);
        self.now.in_passing += u64::from(values.made);
        self.peak.with_results = self.peak.with_results.max(self.now.with_results);
        self.peak.in_passing = self.peak.in_passing.max(self.now.in_passing);
        self.now.in_passing -= u64::from(values.made - values.read);
    }

    /// So many values had their last consumer.
    #[inline]
    pub(super) fn free(&mut self, values: u32) {
        self.now.with_results -= u64::from(values);
        self.now.in_passing -= u64::from(values);
    }

    /// The most at any moment so far.
    pub(super) fn peak(&self) -> Peak {
        self.peak
    }
}
