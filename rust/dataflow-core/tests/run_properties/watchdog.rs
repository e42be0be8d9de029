//! A test that hangs ends in a message.

use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

static WATCHED: LazyLock<Mutex<Vec<(u64, Instant, String)>>> = LazyLock::new(|| {
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_millis(500));
            for (_, began, what) in WATCHED.lock().unwrap().iter() {
                if began.elapsed() > PATIENCE {
                    eprintln!("this hangs: {what}");
                    std::process::abort();
                }
            }
        }
    });
    Mutex::default()
});

pub(crate) struct Watch(u64);

/// Aborts the process unless the watch is dropped within a minute.
pub(crate) fn watch(what: impl Into<String>) -> Watch {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    WATCHED.lock().unwrap().push((number, Instant::now(), what.into()));
    Watch(number)
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.lock().unwrap().retain(|(number, ..)| *number != self.0);
    }
}
