use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const NO_LIMIT: u64 = u64::MAX;

fn request(group: u32) -> Request {
    Request { group, growth: 0, priority: 0, position: 0 }
}

fn ask(ledger: &Ledger<u64>, id: u64, request: Request, now: u64) -> Verdict {
    let (verdict, grants) = ledger.request((0, id), request, now, || false, || id);
    assert!(grants.granted.is_empty(), "a request lets nobody else go on");
    verdict
}

fn give_back(ledger: &Ledger<u64>, id: u64, now: u64) -> Vec<u64> {
    ledger.release((0, id), now).granted
}

#[test]
fn requests_wait_for_what_others_hold_and_get_it_in_order() {
    let ledger = Ledger::new(NO_LIMIT);
    let gpu = ledger.add_resource(2);
    let one = ledger.add_group(&[Demand { resource: gpu, amount: 1 }], &[]);
    assert_eq!(
        [1, 2, 3, 4].map(|id| ask(&ledger, id, request(one), 0)),
        [Verdict::Go, Verdict::Go, Verdict::Waits, Verdict::Waits]
    );
    assert_eq!(give_back(&ledger, 2, 0), [3]);
    assert_eq!(give_back(&ledger, 2, 0), [0; 0], "what is given back twice counts once");
    assert_eq!(ask(&ledger, 3, request(one), 0), Verdict::Go, "who was granted is let go on");
    assert_eq!(give_back(&ledger, 1, 0), [4]);
    assert_eq!(ledger.used(), [2]);
    assert!(give_back(&ledger, 3, 0).is_empty() && give_back(&ledger, 4, 0).is_empty());
    assert_eq!((ledger.used(), ledger.waiting()), (vec![0], 0));
}

#[test]
fn a_large_request_is_not_starved_by_small_ones() {
    let ledger = Ledger::new(NO_LIMIT);
    let memory = ledger.add_resource(10);
    let small = ledger.add_group(&[Demand { resource: memory, amount: 1 }], &[]);
    let large = ledger.add_group(&[Demand { resource: memory, amount: 8 }], &[]);
    for id in 0..5 {
        assert_eq!(ask(&ledger, id, request(small), 0), Verdict::Go);
    }
    assert_eq!(ask(&ledger, 100, request(large), 0), Verdict::Waits);
    assert_eq!(ask(&ledger, 5, request(small), 0), Verdict::Waits, "what is free is kept for the large one");
    assert!(give_back(&ledger, 0, 0).is_empty());
    assert!(give_back(&ledger, 1, 0).is_empty());
    assert_eq!(give_back(&ledger, 2, 0), [100]);
    assert_eq!(give_back(&ledger, 3, 0), [5]);
}

#[test]
fn what_nobody_ahead_needs_does_not_lie_idle() {
    let ledger = Ledger::new(NO_LIMIT);
    let (gpu, db) = (ledger.add_resource(1), ledger.add_resource(3));
    let both = [Demand { resource: gpu, amount: 1 }, Demand { resource: db, amount: 1 }];
    let (both, single) = (ledger.add_group(&both, &[]), ledger.add_group(&[both[1]], &[]));
    assert_eq!(ask(&ledger, 0, request(both), 0), Verdict::Go);
    assert_eq!(ask(&ledger, 1, request(both), 0), Verdict::Waits);
    assert_eq!(ask(&ledger, 2, request(single), 0), Verdict::Go, "one is kept for the first that waits, one is free");
    assert_eq!(ask(&ledger, 3, request(single), 0), Verdict::Waits);
    assert_eq!(give_back(&ledger, 0, 0), [1, 3]);
}

#[test]
fn higher_priorities_and_lower_positions_go_first() {
    let ledger = Ledger::new(NO_LIMIT);
    let gpu = ledger.add_resource(1);
    let one = ledger.add_group(&[Demand { resource: gpu, amount: 1 }], &[]);
    ask(&ledger, 0, request(one), 0);
    ask(&ledger, 1, Request { position: 5, ..request(one) }, 0);
    ask(&ledger, 2, Request { position: 4, ..request(one) }, 0);
    ask(&ledger, 3, Request { position: 9, priority: 1, ..request(one) }, 0);
    let order: Vec<u64> = [0, 3, 2].iter().flat_map(|&id| give_back(&ledger, id, 0)).collect();
    assert_eq!(order, [3, 2, 1]);
}

#[test]
fn rates_space_starts_evenly_after_a_burst() {
    let ledger = Ledger::new(NO_LIMIT);
    let bucket = ledger.add_bucket(10, 2);
    let call = ledger.add_group(&[], &[bucket]);
    assert_eq!([0, 1].map(|id| ask(&ledger, id, request(call), 100)), [Verdict::Go, Verdict::Go]);
    let (verdict, grants) = ledger.request((0, 2), request(call), 100, || false, || 2);
    assert_eq!((verdict, grants.later), (Verdict::Waits, vec![(2, 10)]));
    let (verdict, grants) = ledger.request((0, 3), request(call), 103, || false, || 3);
    assert_eq!((verdict, grants.later), (Verdict::Waits, vec![]), "the first that waits was told already");
    assert!(ledger.reconsider(109).granted.is_empty());
    let grants = ledger.reconsider(110);
    assert_eq!((grants.granted, grants.later), (vec![2], vec![(3, 10)]));
    // What was withdrawn has taken no token.
    let (withdrawn, grants) = ledger.withdraw(0, 111);
    assert_eq!((withdrawn, grants.granted.len()), (vec![3], 0));
    assert_eq!(ask(&ledger, 4, request(call), 120), Verdict::Go);
}

#[test]
fn memory_holds_back_what_would_go_beyond_the_limit_until_a_run_has_nothing_else_to_do() {
    let ledger = Ledger::new(100);
    let any = ledger.add_group(&[], &[]);
    let grows = |growth| Request { growth, ..request(any) };
    assert_eq!(ask(&ledger, 0, grows(500), 0), Verdict::Waits, "something else of the run may be ready");
    assert_eq!(ledger.insist(0, 0), Some(0));
    assert_eq!(ask(&ledger, 1, grows(1), 0), Verdict::Waits);
    assert_eq!(ledger.insist(0, 0), None, "something goes on");
    assert_eq!(ask(&ledger, 2, grows(0), 0), Verdict::Go, "what frees as much as it makes goes on");
    ledger.charge(60);
    assert_eq!(give_back(&ledger, 0, 0), [1]);
    assert_eq!(ask(&ledger, 3, grows(40), 0), Verdict::Waits);
    ledger.discharge(60);
    assert_eq!(ledger.reconsider(0).granted, [3]);
    assert_eq!(ledger.live(), 0);
    let (verdict, _) = ledger.request((7, 0), grows(1000), 0, || false, || 70);
    assert_eq!(verdict, Verdict::Waits);
    assert_eq!(ledger.insist(7, 0), Some(70), "another run always has something going on too");
    assert_eq!(ledger.insist(7, 0), None);
}

#[test]
fn insisting_gets_memory_and_nothing_else() {
    let ledger = Ledger::new(100);
    let gpu = ledger.add_resource(1);
    let one = ledger.add_group(&[Demand { resource: gpu, amount: 1 }], &[]);
    let (verdict, _) = ledger.request((7, 0), request(one), 0, || false, || 70);
    assert_eq!(verdict, Verdict::Go);
    assert_eq!(ask(&ledger, 1, Request { growth: 500, ..request(one) }, 0), Verdict::Waits);
    assert_eq!(ledger.insist(0, 0), None);
    assert!(ledger.release((7, 0), 0).granted.is_empty());
    assert_eq!(ledger.insist(0, 0), Some(1));
}

#[test]
fn a_run_that_has_stopped_is_refused_and_what_waits_for_it_comes_back() {
    let ledger = Ledger::new(NO_LIMIT);
    let gpu = ledger.add_resource(1);
    let one = ledger.add_group(&[Demand { resource: gpu, amount: 1 }], &[]);
    ask(&ledger, 0, request(one), 0);
    ask(&ledger, 1, request(one), 0);
    let (verdict, _) = ledger.request((5, 0), request(one), 0, || false, || 50);
    assert_eq!(verdict, Verdict::Waits);
    let (withdrawn, grants) = ledger.withdraw(0, 0);
    assert_eq!((withdrawn, grants.granted), (vec![1], vec![]));
    let (verdict, _) = ledger.request((0, 2), request(one), 0, || true, || 2);
    assert_eq!(verdict, Verdict::Stopped);
    assert_eq!(give_back(&ledger, 0, 0), [50]);
}

#[derive(Clone, Debug)]
enum Move {
    Ask { run: u64, group: usize, growth: u64, priority: i64 },
    Release(usize),
    Pass(u64),
    Withdraw(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let ask = (0..3_u64, 0..6_usize, 0..4_u64, -1..2_i64).prop_map(|(run, group, growth, priority)| Move::Ask {
        run,
        group,
        growth,
        priority,
    });
    let other = prop_oneof![
        5 => any::<usize>().prop_map(Move::Release),
        2 => (1..20_u64).prop_map(Move::Pass),
        1 => (0..3_u64).prop_map(Move::Withdraw),
    ];
    prop::collection::vec(prop_oneof![3 => ask, 2 => other], 1..200)
}

proptest! {
    /// Nothing is ever admitted beyond a limit; nothing is lost; and when holders give back and time passes, everybody
    /// who waits gets on.
    #[test]
    fn limits_hold_and_nobody_is_forgotten(moves in moves()) {
        let capacities = [4_u64, 3];
        let ledger: Ledger<(u64, u64)> = Ledger::new(6);
        let resources = capacities.map(|capacity| ledger.add_resource(capacity));
        let bucket = ledger.add_bucket(7, 2);
        let demand = |resource: usize, amount| Demand { resource: resources[resource], amount };
        let needs: [(Vec<Demand>, Vec<u32>); 6] = [
            (vec![], vec![]),
            (vec![demand(0, 1)], vec![]),
            (vec![demand(0, 4)], vec![]),
            (vec![demand(0, 1), demand(1, 1)], vec![]),
            (vec![demand(1, 3)], vec![bucket]),
            (vec![], vec![bucket]),
        ];
        let groups: Vec<u32> = needs.iter().map(|(demands, buckets)| ledger.add_group(demands, buckets)).collect();
        let (mut now, mut next) = (0, 0);
        let mut held: Vec<((u64, u64), usize, u64)> = Vec::new();
        let mut waiting: HashMap<(u64, u64), (usize, u64)> = HashMap::new();
        let mut starts: Vec<u64> = Vec::new();
        let mut looks: Vec<u64> = Vec::new();
        let check = |held: &Vec<((u64, u64), usize, u64)>, starts: &Vec<u64>| {
            for (resource, capacity) in capacities.iter().enumerate() {
                let used: u64 = held
                    .iter()
                    .flat_map(|(_, group, _)| &needs[*group].0)
                    .filter(|demand| demand.resource == resources[resource])
                    .map(|demand| demand.amount)
                    .sum();
                assert!(used <= *capacity);
                assert_eq!(used, ledger.used()[resource]);
            }
            // At most two at once, and then one in 7: in a window from any start, so many at most.
            for (index, first) in starts.iter().enumerate() {
                for (later, start) in starts[index..].iter().enumerate() {
                    assert!((later as u64) < 2 + (start - first) / 7 + 1, "{starts:?}");
                }
            }
        };
        macro_rules! take {
            ($grants:expr) => {{
                let grants = $grants;
                looks.extend(grants.later.iter().map(|(_, delay)| now + delay));
                for ticket in grants.granted {
                    let (group, growth) = waiting.remove(&ticket).expect("granted once, and only who waits");
                    if !needs[group].1.is_empty() { starts.push(now); }
                    held.push((ticket, group, growth));
                }
                check(&held, &starts);
            }};
        }
        for step in moves {
            match step {
                Move::Ask { run, group, growth, priority } => {
                    next += 1;
                    let ticket = (run, next);
                    let request = Request { group: groups[group], growth, priority, position: 0 };
                    let (verdict, grants) = ledger.request(ticket, request, now, || false, || ticket);
                    match verdict {
                        Verdict::Go => {
                            if !needs[group].1.is_empty() { starts.push(now); }
                            held.push((ticket, group, growth));
                        }
                        Verdict::Waits => { waiting.insert(ticket, (group, growth)); }
                        Verdict::Stopped => unreachable!(),
                    }
                    take!(grants);
                }
                Move::Release(which) if !held.is_empty() => {
                    let (ticket, ..) = held.swap_remove(which % held.len());
                    take!(ledger.release(ticket, now));
                }
                Move::Release(_) => {}
                Move::Pass(time) => {
                    now += time;
                    looks.retain(|&look| look > now);
                    take!(ledger.reconsider(now));
                }
                Move::Withdraw(run) => {
                    let (withdrawn, grants) = ledger.withdraw(run, now);
                    for ticket in &withdrawn {
                        assert!(ticket.0 == run && waiting.remove(ticket).is_some());
                    }
                    assert!(waiting.keys().all(|ticket| ticket.0 != run));
                    take!(grants);
                }
            }
            assert_eq!(waiting.len(), ledger.waiting());
        }
        // Everybody gives back; time passes only where somebody was told to look again.
        while !waiting.is_empty() {
            if let Some((ticket, ..)) = held.pop() {
                take!(ledger.release(ticket, now));
            } else if let Some(ticket) = (0..3).find_map(|run| ledger.insist(run, now)) {
                take!(Grants { granted: vec![ticket], later: vec![] });
            } else {
                looks.sort_unstable();
                assert!(!looks.is_empty(), "somebody waits, nobody holds, and nobody will look again");
                now = now.max(looks.remove(0));
                take!(ledger.reconsider(now));
            }
        }
    }
}
