//! The concurrent protocols of the core in all their interleavings, up to a bound on preemptions.
//!
//! `make loom`, or `RUSTFLAGS="--cfg loom" cargo test -p dataflow-core --release --test loom_protocols`;
//! `LOOM_MAX_PREEMPTIONS` replaces the bounds below. loom regards `SeqCst` accesses as `AcqRel` ones and models `SeqCst`
//! fences, which are what the protocols stand on. Its timed waits never time out, so a model ends only if nobody relies on
//! a timer.
#![cfg(loom)]
#![allow(unsafe_code)]

mod lanes;
mod runs;
mod sets;
mod words;

/// Most faults of this kind show with two preemptions (Musuvathi and Qadeer, PLDI 2007).
pub(crate) fn model(preemptions: usize, check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 10_000;
    builder.check(check);
}
