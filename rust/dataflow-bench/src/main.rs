//! What a node costs the core alone, with a native body that does nothing. `make bench-native` and `make
//! bench-instructions` start it; what it prints is JSON.
//!
//! ```text
//! dataflow-bench times NODES RUNS           nanoseconds a node of each run, for each graph on one thread and on two
//! dataflow-bench count SHAPE NODES RUNS     runs on one thread, for an instruction counter; prints what they allocated
//! ```

mod allocations;
mod nothing;
mod shapes;

/// Times runs of every graph; the first run of each is thrown away.
fn times(nodes: u32, runs: usize) {
    let pool = nothing::pool();
    for shape in shapes::NAMES {
        let plan = shapes::plan(shape, nodes);
        for threads in [1, 2] {
            nothing::run_again(&pool, &plan, threads);
            let taken: Vec<String> = (0..runs)
                .map(|_| {
                    let began = std::time::Instant::now();
                    nothing::run_again(&pool, &plan, threads);
                    format!("{:.2}", began.elapsed().as_nanos() as f64 / f64::from(nodes))
                })
                .collect();
            println!(r#"{{"shape": "{shape}", "threads": {threads}, "nanoseconds": [{}]}}"#, taken.join(", "));
        }
    }
}

/// Runs one graph on the calling thread alone: the same instructions each time.
fn count(shape: &str, nodes: u32, runs: usize) {
    let pool = std::sync::Arc::new(dataflow_core::pool::Pool::new(0));
    let plan = shapes::plan(shape, nodes);
    nothing::run_again(&pool, &plan, 1);
    let before = allocations::so_far();
    (0..runs).for_each(|_| nothing::run_again(&pool, &plan, 1));
    let after = allocations::so_far();
    println!(r#"{{"allocations": {}, "bytes": {}}}"#, after.0 - before.0, after.1 - before.1);
}

fn main() {
    const USAGE: &str = "usage: dataflow-bench times NODES RUNS | dataflow-bench count SHAPE NODES RUNS";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["times", nodes, runs] => times(nodes.parse().expect(USAGE), runs.parse().expect(USAGE)),
        ["count", shape, nodes, runs] => count(shape, nodes.parse().expect(USAGE), runs.parse().expect(USAGE)),
        _ => {
            eprintln!("{USAGE}");
            std::process::exit(2);
        }
    }
}
