//! Whether runs may read the processor's counter for the time.

/// Lets them where the kernel does so itself: it watches the counter, and leaves it when it turns out to be unfit.
pub(crate) fn choose() {
    #[cfg(target_os = "linux")]
    if std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        .is_ok_and(|source| source.trim() == "tsc")
    {
        dataflow_core::clock::trust_counter();
    }
}
