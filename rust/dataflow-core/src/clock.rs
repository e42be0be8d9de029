//! The clock of a run: nanoseconds since it began.
//!
//! A worker reads it after every node, so it costs as much as a small node itself if the system is asked each time. Where
//! the processor has a counter by which the system itself keeps its time, the counter is read instead, at less than half
//! the price. Its rate is measured beside the system's clock: between a first look at both, early in the life of the
//! process, and later ones, so that nobody ever waits for a measurement. Until the two looks lie far enough apart, the
//! system's clock is read.
//!
//! A counter may go wrong: it may start anew when the machine has slept, or run at another pace when a virtual machine
//! has moved. Long runs compare it with the system's clock from time to time and leave it for good when they differ.
#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Two looks that lie this far apart, each exact to about 50 ns, give a rate that is off by a few millionths.
const LEAST_BASELINE: Duration = Duration::from_millis(20);
/// By how much the counter may differ from the system's clock: by as much at any time, and by one part in so many.
const TOLERANCE: Duration = Duration::from_micros(500);
const TOLERATED_PART: u32 = 1_000;

/// A moment on both clocks.
#[derive(Copy, Clone, Debug)]
struct Look {
    ticks: u64,
    time: Instant,
}

impl Look {
    /// Of several looks the one that took the least: the thread may lose its processor between the two clocks.
    fn take() -> Self {
        let look = || {
            let (before, time, after) = (counter::read(), Instant::now(), counter::read());
            let took = after.wrapping_sub(before);
            (took, Self { ticks: before.wrapping_add(took / 2), time })
        };
        let looks = [look(), look(), look(), look()];
        looks.into_iter().min_by_key(|(took, _)| *took).map_or_else(|| look().1, |(_, look)| look)
    }
}

static FIRST: OnceLock<Look> = OnceLock::new();
/// Nanoseconds for each tick, times 2^32; 0 while unknown. Relaxed, as the next: each value is good by itself.
static RATE: AtomicU64 = AtomicU64::new(0);
/// The number of ticks after the first look from which on a new measurement is worth its while.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// Whether the counter was found to be wrong.
static BROKEN: AtomicBool = AtomicBool::new(false);

/// Lets runs read the processor's counter. To be called, early in the life of the process, by who knows that the system
/// keeps its own time by it: that it runs at one pace, and alike on all processors.
pub fn trust_counter() {
    if counter::EXISTS {
        FIRST.get_or_init(Look::take);
    }
}

/// The rate of the counter, if it is known.
fn rate() -> Option<u64> {
    let first = FIRST.get()?;
    if BROKEN.load(Ordering::Relaxed) {
        return None;
    }
    if counter::read().wrapping_sub(first.ticks) >= NEXT.load(Ordering::Relaxed) {
        measure(first);
    }
    match RATE.load(Ordering::Relaxed) {
        0 => None,
        rate => Some(rate),
    }
}

#[cold]
fn measure(first: &Look) {
    let look = Look::take();
    let (ticks, time) = (look.ticks.wrapping_sub(first.ticks), look.time.saturating_duration_since(first.time));
    if time < LEAST_BASELINE || ticks == 0 {
        return;
    }
    let rate = (time.as_nanos() << 32) / u128::from(ticks);
    // A counter slower than 1 MHz is not worth reading, nor is one that does not move with the time at all.
    match u64::try_from(rate) {
        Ok(rate) if rate > 0 && rate < 1000 << 32 => RATE.store(rate, Ordering::Relaxed),
        _ => BROKEN.store(true, Ordering::Relaxed),
    }
    // The longer the baseline, the less there is to gain.
    NEXT.store(ticks.saturating_mul(2), Ordering::Relaxed);
}

/// Nanoseconds since it was made.
pub(crate) struct Clock {
    began: Instant,
    ticks: u64,
    /// As [`RATE`]; 0 where the system's clock is read.
    rate: AtomicU64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        // A model must go the same way each time.
        let rate = if cfg!(loom) { None } else { rate() };
        let ticks = rate.map_or(0, |_| counter::read());
        Self { began: Instant::now(), ticks, rate: AtomicU64::new(rate.unwrap_or(0)) }
    }

    /// Nanoseconds since the start.
    #[inline(always)]
    pub(crate) fn now(&self) -> u64 {
        // Relaxed: whoever reads a rate that was given up just now comes to the next look as well.
        match self.rate.load(Ordering::Relaxed) {
            0 => self.slow(),
            rate => scaled(counter::read().wrapping_sub(self.ticks), rate),
        }
    }

    #[cold]
    fn slow(&self) -> u64 {
        let elapsed = if cfg!(loom) { Duration::from_nanos(1) } else { self.began.elapsed() };
        elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos())
    }

    /// Leaves a counter that differs from the system's clock, for all runs; gives the time.
    pub(crate) fn check(&self) -> u64 {
        let rate = self.rate.load(Ordering::Relaxed);
        if rate == 0 {
            return self.slow();
        }
        let look = Look::take();
        let counted = Duration::from_nanos(scaled(look.ticks.wrapping_sub(self.ticks), rate));
        let elapsed = look.time.saturating_duration_since(self.began);
        if counted.abs_diff(elapsed) > TOLERANCE + elapsed / TOLERATED_PART {
            BROKEN.store(true, Ordering::Relaxed);
            self.rate.store(0, Ordering::Relaxed);
        }
        self.now()
    }
}

#[inline(always)]
fn scaled(ticks: u64, rate: u64) -> u64 {
    ((u128::from(ticks) * u128::from(rate)) >> 32) as u64
}

#[cfg(target_arch = "x86_64")]
mod counter {
    pub(super) const EXISTS: bool = true;

    /// Not ordered with what stands around it: a few nanoseconds do not matter here.
    #[inline(always)]
    pub(super) fn read() -> u64 {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    pub(super) const EXISTS: bool = false;

    pub(super) fn read() -> u64 {
        0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn trusted() -> Clock {
        trust_counter();
        std::thread::sleep(LEAST_BASELINE * 2);
        Clock::start()
    }

    #[test]
    fn keeps_the_time_of_the_system_and_never_goes_back() {
        let clock = trusted();
        let began = Instant::now();
        let mut last = clock.now();
        while began.elapsed() < Duration::from_millis(50) {
            let now = clock.now();
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
        let (counted, elapsed) = (Duration::from_nanos(clock.now()), clock.began.elapsed());
        assert!(counted.abs_diff(elapsed) < Duration::from_millis(2), "{counted:?} in {elapsed:?}");
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn leaves_a_counter_that_started_anew() {
        let clock = trusted();
        let rate = clock.rate.load(Ordering::Relaxed);
        // Other tests may have found it wrong, or a loaded machine; this one is about a clock that reads it.
        let clock =
            Clock { began: clock.began, ticks: counter::read().wrapping_add(1 << 40), rate: rate.max(1).into() };
        let (elapsed, now) = (clock.began.elapsed().as_nanos() as u64, clock.check());
        assert_eq!(clock.rate.load(Ordering::Relaxed), 0);
        assert!(now >= elapsed && now < elapsed + 10_000_000_000, "{now} after {elapsed}");
        BROKEN.store(false, Ordering::Relaxed);
    }

    #[test]
    fn scales_without_overflow() {
        assert_eq!(scaled(u64::MAX / 4, 1 << 32), u64::MAX / 4);
        assert_eq!(scaled(3_000_000_000, (1 << 32) / 3), 999_999_999);
    }
}
