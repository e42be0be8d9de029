//! The set of ready numbers: what is put in comes out once, whoever takes it, and nothing stays behind unseen.

use std::sync::Arc;

use dataflow_core::ready_set::ReadySet;
use loom::thread;

use crate::model;

/// Two leaves below one root.
const BOUND: usize = 65;

fn rest(set: &ReadySet) -> impl Iterator<Item = u32> + '_ {
    std::iter::from_fn(|| set.take())
}

#[test]
fn two_threads_put_and_take_and_nothing_is_lost_or_taken_twice() {
    for (mine, other) in [(0, 64), (0, 1)] {
        model(2, move || {
            let set = Arc::new(ReadySet::new(BOUND));
            let helper = thread::spawn({
                let set = set.clone();
                move || {
                    set.put(other);
                    set.take()
                }
            });
            set.put(mine);
            let taken = set.take();
            let theirs = helper.join().unwrap();
            let mut all: Vec<u32> = taken.into_iter().chain(theirs).chain(rest(&set)).collect();
            all.sort_unstable();
            assert_eq!(all, [mine, other]);
            assert!(!set.has_any());
        });
    }
}

#[test]
fn a_number_that_comes_while_its_word_is_emptied_is_seen_afterwards() {
    model(2, || {
        let set = Arc::new(ReadySet::new(BOUND));
        set.put(0);
        let publisher = thread::spawn({
            let set = set.clone();
            move || set.put(1)
        });
        let first = set.take();
        publisher.join().unwrap();
        // Whoever emptied the word has looked again by now.
        assert!(set.has_any());
        assert_eq!(first, Some(0));
        assert_eq!(rest(&set).collect::<Vec<_>>(), [1]);
    });
}
