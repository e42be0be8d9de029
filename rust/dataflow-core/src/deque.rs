//! Work-stealing deques: crossbeam's, or under loom a stand-in of the same interface, since crossbeam's own atomics are
//! not instrumented.

#[cfg(not(loom))]
pub(crate) use crossbeam_deque::{Injector, Steal, Stealer, Worker};

#[cfg(loom)]
pub(crate) use stand_in::{Injector, Steal, Stealer, Worker};

#[cfg(loom)]
mod stand_in {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use crate::sync::{AtomicUsize, Mutex, Ordering, lock};

    #[allow(dead_code)]
    pub(crate) enum Steal<T> {
        Empty,
        Success(T),
        Retry,
    }

    /// Tasks under a lock, with their number beside it: as with crossbeam's, a look at the number alone orders nothing.
    struct Tasks<T> {
        tasks: Mutex<VecDeque<T>>,
        count: AtomicUsize,
    }

    impl<T> Tasks<T> {
        fn new() -> Self {
            Self { tasks: Mutex::new(VecDeque::new()), count: AtomicUsize::new(0) }
        }
        fn change<R>(&self, change: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
            let mut tasks = lock(&self.tasks);
            let result = change(&mut tasks);
            self.count.store(tasks.len(), Ordering::Relaxed);
            result
        }
        fn is_empty(&self) -> bool {
            self.count.load(Ordering::Relaxed) == 0
        }
        fn steal(&self) -> Steal<T> {
            self.change(VecDeque::pop_front).map_or(Steal::Empty, Steal::Success)
        }
    }

    pub(crate) struct Worker<T>(Arc<Tasks<T>>);
    pub(crate) struct Stealer<T>(Arc<Tasks<T>>);
    pub(crate) struct Injector<T>(Tasks<T>);

    impl<T> Worker<T> {
        pub(crate) fn new_lifo() -> Self {
            Self(Arc::new(Tasks::new()))
        }
        pub(crate) fn stealer(&self) -> Stealer<T> {
            Stealer(self.0.clone())
        }
        pub(crate) fn push(&self, task: T) {
            self.0.change(|tasks| tasks.push_back(task));
        }
        pub(crate) fn pop(&self) -> Option<T> {
            self.0.change(VecDeque::pop_back)
        }
    }

    impl<T> Stealer<T> {
        pub(crate) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
        pub(crate) fn steal_batch_and_pop(&self, _into: &Worker<T>) -> Steal<T> {
            self.0.steal()
        }
    }

    impl<T> Injector<T> {
        pub(crate) fn new() -> Self {
            Self(Tasks::new())
        }
        pub(crate) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
        pub(crate) fn push(&self, task: T) {
            self.0.change(|tasks| tasks.push_back(task));
        }
        pub(crate) fn steal_batch_and_pop(&self, _into: &Worker<T>) -> Steal<T> {
            self.0.steal()
        }
    }
}
