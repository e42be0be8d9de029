//! One word, one table, one parking lot: the protocols by themselves.

use std::sync::Arc;

use dataflow_core::ids::{InstanceId, NodeId, SlotId};
use dataflow_core::park::Sleepers;
use dataflow_core::ready::Task;
use dataflow_core::slots::SlotTable;
use dataflow_core::status::{State, Status};
use dataflow_core::timers::{Timers, Waiting};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::model;

const TASK: Task = Task { instance: InstanceId::ROOT, node: NodeId(0) };

#[test]
fn one_of_three_ends_an_attempt_and_the_others_see_what_it_wrote() {
    struct Attempt {
        status: Status,
        notes: [UnsafeCell<u32>; 3],
    }
    // SAFETY: who claims writes its own cell before; loom checks that readers come after.
    unsafe impl Sync for Attempt {}

    model(3, || {
        let attempt = Arc::new(Attempt { status: Status::default(), notes: [(); 3].map(|()| UnsafeCell::new(0)) });
        attempt.status.set(State::Ready);
        assert_eq!(attempt.status.begin(), 1);
        let ends = [State::Succeeded, State::Failed, State::Cancelled];
        let claimants: Vec<_> = (0..ends.len())
            .map(|who| {
                let attempt = attempt.clone();
                thread::spawn(move || {
                    // SAFETY: nobody reads the cell before this claim is won.
                    attempt.notes[who].with_mut(|note| unsafe { *note = 7 });
                    let won = attempt.status.claim(1, ends[who]);
                    let (state, _) = attempt.status.load();
                    let winner = ends.iter().position(|&end| end == state).expect("somebody has won");
                    assert_eq!(won, winner == who);
                    // SAFETY: the winner wrote before its claim and writes no more.
                    assert_eq!(attempt.notes[winner].with(|note| unsafe { *note }), 7);
                    won
                })
            })
            .collect();
        let wins = claimants.into_iter().map(|claimant| claimant.join().unwrap()).filter(|&won| won).count();
        assert_eq!(wins, 1);
    });
}

#[test]
fn the_last_of_two_consumers_takes_the_value() {
    model(3, || {
        let table = Arc::new(SlotTable::new([2].into_iter()));
        // SAFETY: this thread is the producer.
        assert_eq!(unsafe { table.put(SlotId(0), 5_u32) }, None);
        let consume = |table: &SlotTable<u32>| {
            // SAFETY: the producer delivered before the consumers began, and each owns one of the two shares.
            assert_eq!(unsafe { table.get(SlotId(0)) }, Some(&5));
            // SAFETY: as above, and the reference is gone.
            unsafe { table.release(SlotId(0)) }
        };
        let other = thread::spawn({
            let table = table.clone();
            move || consume(&table)
        });
        let taken = [consume(&table), other.join().unwrap()];
        assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), [5]);
        assert!(!table.is_kept(SlotId(0)));
    });
}

#[test]
fn a_value_moves_only_to_a_consumer_that_is_alone() {
    model(3, || {
        let table = Arc::new(SlotTable::new([2].into_iter()));
        // SAFETY: this thread is the producer.
        assert_eq!(unsafe { table.put(SlotId(0), 5_u32) }, None);
        let other = thread::spawn({
            let table = table.clone();
            // SAFETY: after the delivery, with a share of its own.
            move || unsafe {
                assert_eq!(table.get(SlotId(0)), Some(&5));
                table.release(SlotId(0))
            }
        });
        // SAFETY: this thread owns the second share.
        let moved = unsafe { table.take_sole(SlotId(0)) };
        // SAFETY: as above.
        let left = unsafe { table.release(SlotId(0)) };
        let taken = [moved, left, other.join().unwrap()];
        assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), [5]);
    });
}

/// Work that sleepers wait for: each worker takes one piece and ends.
fn work_for_sleepers(workers: usize, publishers: usize) {
    let sleepers = Arc::new(Sleepers::new(workers));
    let work = Arc::new(AtomicUsize::new(0));
    let take = |work: &AtomicUsize| {
        work.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |pieces| pieces.checked_sub(1)).is_ok()
    };
    let serve = move |worker: usize, sleepers: &Sleepers, work: &AtomicUsize| {
        while !take(work) {
            sleepers.announce(worker);
            if work.load(Ordering::Relaxed) == 0 {
                sleepers.park(worker, None);
            }
            sleepers.retract(worker);
        }
    };
    let publish = |sleepers: &Sleepers, work: &AtomicUsize| {
        work.fetch_add(1, Ordering::Relaxed);
        sleepers.wake_one();
    };
    let mut threads: Vec<_> = (0..workers)
        .map(|worker| {
            let (sleepers, work) = (sleepers.clone(), work.clone());
            thread::spawn(move || serve(worker, &sleepers, &work))
        })
        .collect();
    threads.extend((1..publishers).map(|_| {
        let (sleepers, work) = (sleepers.clone(), work.clone());
        thread::spawn(move || publish(&sleepers, &work))
    }));
    publish(&sleepers, &work);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn no_wake_up_is_lost() {
    model(4, || work_for_sleepers(1, 1));
}

#[test]
fn two_publishers_wake_two_workers() {
    model(2, || work_for_sleepers(2, 2));
}

#[test]
fn a_task_that_waits_when_the_run_stops_is_ended_once() {
    model(3, || {
        let shared = Arc::new((Status::default(), Timers::default(), AtomicUsize::new(0)));
        shared.0.set(State::Ready);
        assert_eq!(shared.0.begin(), 1);
        let end = |shared: &(Status, Timers, AtomicUsize), state| {
            if shared.0.claim_waiting(1, state) {
                shared.2.fetch_add(1, Ordering::Relaxed);
            }
        };
        let retry = thread::spawn({
            let shared = shared.clone();
            move || {
                assert!(shared.0.claim(1, State::Retrying));
                if !shared.1.add(Waiting { due: 1, task: TASK, attempt: 1 }, false) {
                    end(&shared, State::Failed);
                }
            }
        });
        let due = thread::spawn({
            let shared = shared.clone();
            move || {
                if shared.1.pop_due(1).is_some() {
                    assert_eq!(shared.0.begin(), 2);
                    shared.2.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        for waiting in shared.1.close(|_| false) {
            assert_eq!(waiting.task, TASK);
            end(&shared, State::Cancelled);
        }
        retry.join().unwrap();
        due.join().unwrap();
        assert_eq!(shared.2.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_task_that_waits_whatever_happens_is_started_once() {
    model(3, || {
        let shared = Arc::new((Timers::default(), AtomicUsize::new(0)));
        let start = |shared: &(Timers, AtomicUsize)| {
            if shared.0.pop_due(1).is_some() {
                shared.1.fetch_add(1, Ordering::Relaxed);
            }
        };
        let retry = thread::spawn({
            let shared = shared.clone();
            move || assert!(shared.0.add(Waiting { due: 1, task: TASK, attempt: 1 }, true))
        });
        let due = thread::spawn({
            let shared = shared.clone();
            move || start(&shared)
        });
        assert!(shared.0.close(|task| task == TASK).is_empty());
        retry.join().unwrap();
        due.join().unwrap();
        start(&shared);
        assert_eq!(shared.1.load(Ordering::Relaxed), 1);
    });
}
