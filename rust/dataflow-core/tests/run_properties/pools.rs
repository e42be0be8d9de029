//! Runs that share threads, that are deep or wide, that wait, and that run others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dataflow_core::ids::NodeId;
use dataflow_core::pool::Pool;
use dataflow_core::run::{FailurePolicy, Stop};
use dataflow_core::status::State;

use crate::plain::{Crew, Next, Plain, chain, count, last_value, plan, prepare, wide};
use crate::script::Random;
use crate::watchdog::watch;

const MILLION: u32 = 1_000_000;

fn adds() -> Plain {
    Plain::new(|_, _, _| Next::Add(1))
}

/// Runs on a stack that no recursion over a million nodes fits on.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(128 << 10).spawn(work).unwrap().join().unwrap();
}

#[test]
fn a_million_nodes_need_no_stack() {
    let _watch = watch("a million nodes");
    on_a_small_stack(|| {
        let crew = Crew::of(1);
        for (shape, value) in [(chain(MILLION), MILLION), (wide(MILLION), 2 * (MILLION - 2) + 1)] {
            for driven in [true, false] {
                let run = prepare(&crew.pool, &shape, 2, driven, FailurePolicy::FailFast, adds());
                if driven {
                    crew.pool.drive(&run, &mut ())
                } else {
                    crew.pool.submit(&run)
                }
                assert!(run.wait(None));
                assert_eq!(last_value(&run), Some(u64::from(value)));
            }
        }
    });
}

#[test]
fn a_failure_reaches_a_million_nodes_without_a_stack() {
    let _watch = watch("a million consequences");
    on_a_small_stack(|| {
        let pool = Arc::new(Pool::new(0));
        for (policy, state) in
            [(FailurePolicy::Continue, State::UpstreamFailed), (FailurePolicy::FailFast, State::Cancelled)]
        {
            for shape in [chain(MILLION), wide(MILLION)] {
                let body = Plain::new(|_, _, _| Next::Fail);
                let run = prepare(&pool, &shape, 1, true, policy, body);
                pool.drive(&run, &mut ());
                assert_eq!(count(&run, state), MILLION as usize - 1);
            }
        }
    });
}

fn fails_once(delay: Duration) -> Plain {
    Plain::new(move |_, _, attempt| if attempt == 1 { Next::Again(delay) } else { Next::Add(1) })
}

#[test]
fn a_task_that_waits_occupies_no_worker() {
    let _watch = watch("a hundred waits");
    let crew = Crew::of(1);
    for driven in [true, false] {
        let run = prepare(
            &crew.pool,
            &plan(100, []),
            1,
            driven,
            FailurePolicy::FailFast,
            fails_once(Duration::from_millis(50)),
        );
        let began = Instant::now();
        if driven {
            crew.pool.drive(&run, &mut ())
        } else {
            crew.pool.submit(&run)
        }
        assert!(run.wait(None));
        assert_eq!(count(&run, State::Succeeded), 100);
        // One after another they would need five seconds.
        assert!((50..2500).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    }
}

#[test]
fn a_cancellation_does_not_wait_for_timers() {
    let _watch = watch("a cancelled wait");
    let crew = Crew::of(1);
    for driven in [true, false] {
        let run =
            prepare(&crew.pool, &chain(2), 1, driven, FailurePolicy::FailFast, fails_once(Duration::from_secs(3600)));
        let cancel = thread::spawn({
            let run = run.clone();
            move || {
                while run.root().status(NodeId(0)).0 != State::Retrying {
                    thread::yield_now();
                }
                run.stop(Stop::Cancellation);
            }
        });
        if driven {
            crew.pool.drive(&run, &mut ())
        } else {
            crew.pool.submit(&run)
        }
        assert!(run.wait(None));
        assert_eq!(count(&run, State::Cancelled), 2);
        cancel.join().unwrap();
    }
}

#[test]
fn a_timer_is_minded_while_those_that_minded_it_work_elsewhere() {
    let _watch = watch("a timer that nobody minds");
    const THREADS: usize = 5;
    let crew = Crew::of(THREADS);
    let single = plan(1, []);
    let waits = prepare(&crew.pool, &single, 1, false, FailurePolicy::FailFast, fails_once(Duration::from_millis(500)));
    crew.pool.submit(&waits);
    while waits.root().status(NodeId(0)).0 != State::Retrying {
        thread::yield_now();
    }
    // One after another, each takes a thread that is awake or the first that sleeps; one thread remains.
    let blocked = (1..THREADS).map(|_| {
        thread::sleep(Duration::from_millis(20));
        let other = waits.clone();
        let patience = Some(Duration::from_secs(20));
        let body = Plain::new(move |_, _, _| if other.wait(patience) { Next::Add(1) } else { Next::Fail });
        let blocks = prepare(&crew.pool, &single, 1, false, FailurePolicy::FailFast, body);
        crew.pool.submit(&blocks);
        blocks
    });
    for blocks in blocked.collect::<Vec<_>>() {
        assert!(blocks.wait(None));
        assert_eq!(count(&blocks, State::Succeeded), 1);
    }
}

#[test]
fn nothing_starts_after_a_failure_or_a_cancellation() {
    let _watch = watch("a run that goes on after its stop");
    let pool = Arc::new(Pool::new(0));
    let fails = || Plain::new(|_, _, _| Next::Fail);
    let cancels = || {
        Plain::new(|run, _, _| {
            run.stop(Stop::Cancellation);
            Next::Again(Duration::ZERO)
        })
    };
    for (body, ended) in [(fails(), State::Failed), (cancels(), State::Cancelled)] {
        let run = prepare(&pool, &plan(100, []), 1, true, FailurePolicy::FailFast, body);
        pool.drive(&run, &mut ());
        let started: Vec<_> =
            (0..100).map(|node| run.root().status(NodeId(node))).filter(|(_, attempts)| *attempts > 0).collect();
        assert_eq!(started, [(ended, 1)]);
        assert_eq!(count(&run, State::Cancelled), 99 + usize::from(ended == State::Cancelled));
    }
}

#[test]
fn an_end_far_away_can_be_waited_for() {
    let _watch = watch("a wait for ever");
    let crew = Crew::of(1);
    let run = prepare(&crew.pool, &chain(3), 1, false, FailurePolicy::FailFast, adds());
    assert!(!run.wait(Some(Duration::ZERO)));
    crew.pool.submit(&run);
    assert!(run.wait(Some(Duration::MAX)));
}

#[test]
fn a_pool_may_grow_and_shrink_under_its_runs() {
    let _watch = watch("a pool that is resized");
    let mut crew = Crew::new(4);
    let mut random = Random(7);
    for round in 0..300 {
        let run = prepare(&crew.pool, &wide(100), 3, round % 2 == 0, FailurePolicy::FailFast, adds());
        crew.resize(1 + random.below(4) as usize);
        if round % 2 == 0 {
            crew.resize(random.below(5) as usize);
            crew.pool.drive(&run, &mut ());
        } else {
            crew.pool.submit(&run);
            crew.resize(random.below(5) as usize);
            crew.resize(1 + random.below(4) as usize);
            assert!(run.wait(None));
        }
        assert_eq!(last_value(&run), Some(197));
    }
}

#[test]
fn runs_share_a_pool() {
    let _watch = watch("runs that share a pool");
    let crew = Crew::of(2);
    let submitted: Vec<_> = (1..=3)
        .map(|seats| {
            let run = prepare(&crew.pool, &wide(5000), seats, false, FailurePolicy::FailFast, adds());
            crew.pool.submit(&run);
            run
        })
        .collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for seats in [1, 2, 3].repeat(20) {
                    let run = prepare(&crew.pool, &wide(200), seats, true, FailurePolicy::FailFast, adds());
                    crew.pool.drive(&run, &mut ());
                    assert_eq!(last_value(&run), Some(2 * 198 + 1));
                }
            });
        }
    });
    for run in submitted {
        assert!(run.wait(None));
        assert_eq!(last_value(&run), Some(2 * 4998 + 1));
    }
}

/// A body whose nodes each drive a run of their own, `depth` levels down.
fn nesting(pool: Arc<Pool<Plain>>, depth: u32, leaves: Arc<AtomicUsize>) -> Plain {
    Plain::new(move |_, _, _| {
        if depth == 0 {
            leaves.fetch_add(1, Ordering::Relaxed);
            return Next::Add(1);
        }
        let body = nesting(pool.clone(), depth - 1, leaves.clone());
        let inner = prepare(&pool, &wide(5), 2, true, FailurePolicy::FailFast, body);
        pool.drive(&inner, &mut ());
        last_value(&inner).map_or(Next::Fail, |_| Next::Add(1))
    })
}

#[test]
fn a_node_may_drive_another_run() {
    let _watch = watch("nested runs");
    for threads in [0, 1, 3] {
        let crew = Crew::of(threads);
        let leaves = Arc::new(AtomicUsize::new(0));
        let body = nesting(crew.pool.clone(), 3, leaves.clone());
        let run = prepare(&crew.pool, &wide(6), 3, true, FailurePolicy::FailFast, body);
        crew.pool.drive(&run, &mut ());
        assert_eq!((last_value(&run), leaves.load(Ordering::Relaxed)), (Some(9), 6 * 5 * 5 * 5));
    }
}

#[test]
fn a_node_may_help_a_run_that_it_submitted() {
    let _watch = watch("a worker that helps");
    let crew = Crew::of(1);
    let pool = crew.pool.clone();
    let body = Plain::new(move |_, _, _| {
        let inner = prepare(&pool, &wide(50), 2, false, FailurePolicy::FailFast, fails_once(Duration::from_millis(1)));
        pool.submit(&inner);
        pool.help(&inner, &mut ());
        last_value(&inner).map_or(Next::Fail, |_| Next::Add(1))
    });
    let run = prepare(&crew.pool, &wide(20), 2, false, FailurePolicy::FailFast, body);
    crew.pool.submit(&run);
    assert!(run.wait(None));
    assert_eq!(last_value(&run), Some(2 * 18 + 1));
}
