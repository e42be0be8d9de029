//! Whole runs of random graphs against an oracle that works them out one node after another, and runs that have broken
//! schedulers before: deep and wide ones, nested ones, expanded ones, ones that wait.
#![cfg(not(loom))]
#![allow(unsafe_code)]

mod body;
mod expansion;
mod mapping;
mod oracle;
mod plain;
mod pools;
mod restored;
mod script;
mod trial;
mod watchdog;

use std::time::Duration;

use dataflow_core::run::FailurePolicy;
use proptest::prelude::*;

use script::{Odds, Random, Script};
use trial::Trial;

fn policies() -> impl Strategy<Value = FailurePolicy> {
    prop_oneof![Just(FailurePolicy::Continue), Just(FailurePolicy::FailFast)]
}

fn odds() -> impl Strategy<Value = Odds> {
    prop_oneof![Just(Odds::CALM), Just(Odds::MIXED), Just(Odds::STORMY)]
}

fn trials() -> impl Strategy<Value = Trial> {
    let cancellation = prop_oneof![3 => Just(None), 1 => (0..500_u64).prop_map(|at| Some(Duration::from_micros(at)))];
    (policies(), 1..9_usize, any::<bool>(), cancellation).prop_map(|(policy, workers, driven, cancel_after)| Trial {
        policy,
        workers,
        driven,
        cancel_after,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_random_graph_ends_as_the_oracle_says(
        seeds in prop::collection::vec(any::<u64>(), 0..60),
        odds in odds(),
        trial in trials(),
    ) {
        trial.check(&Script::random(&seeds, odds));
    }
}

#[test]
fn three_hundred_larger_graphs_end_as_the_oracle_says() {
    let mut random = Random(20_261_122);
    for round in 0..300 {
        let nodes = random.below(500) + 1;
        let seeds: Vec<u64> = (0..nodes).map(|_| random.next()).collect();
        let odds = [Odds::CALM, Odds::MIXED, Odds::STORMY][round % 3];
        let trial = Trial {
            policy: if round / 3 % 2 == 0 { FailurePolicy::Continue } else { FailurePolicy::FailFast },
            workers: random.below(8) as usize + 1,
            driven: round % 2 == 0,
            cancel_after: random.chance(25).then(|| Duration::from_micros(random.below(2000))),
        };
        trial.check(&Script::random(&seeds, odds));
    }
}
