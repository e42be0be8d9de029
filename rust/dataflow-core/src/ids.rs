//! Indices of the core: plain integers, each with a type of its own.

macro_rules! index {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
        #[repr(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// The number as an index into a slice.
            #[inline]
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index! {
    /// A node of a graph, numbered from zero in the order of addition.
    NodeId
}

index! {
    /// A port layout (the flags of every input and output) that nodes share.
    ShapeId
}

index! {
    /// One output port of one node, numbered over the whole plan: the outputs of a node are consecutive.
    SlotId
}

index! {
    /// One running copy of a plan within a run.
    InstanceId
}

impl InstanceId {
    /// The instance that a run starts with.
    pub const ROOT: Self = Self(0);

    const ITEMS: u32 = 1 << 31;
    const END: u32 = 1 << 30;
    /// Numbers of instances stay below.
    pub(crate) const LIMIT: u32 = Self::END;

    /// Whether a task with it is no node of an instance.
    #[inline]
    pub(crate) const fn is_special(self) -> bool {
        self.0 >= Self::END
    }

    /// In the place of an instance's number: the task that its end is.
    pub(crate) const fn end(self) -> Self {
        Self(self.0 | Self::END)
    }

    /// The instance whose end this is; it stands for no items.
    pub(crate) const fn of_end(self) -> Self {
        Self(self.0 & !Self::END)
    }

    /// The number of the items that a node expanded into, in the place of an instance's.
    pub(crate) const fn of_items(number: u32) -> Self {
        Self(number | Self::ITEMS)
    }

    /// Whether it stands for items, and the task for one of them, instead of for a plan instance and its node.
    #[inline]
    #[must_use]
    pub const fn is_items(self) -> bool {
        self.0 & Self::ITEMS != 0
    }

    /// The number that [`InstanceId::of_items`] was given.
    pub(crate) const fn items_number(self) -> u32 {
        self.0 & !Self::ITEMS
    }
}
