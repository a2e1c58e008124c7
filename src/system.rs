//! The system below, and the processor time that this process took.

use std::{env, fs};

/// Returns the system's name, its release on Linux, and the processor's architecture.
pub(crate) fn name() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let words = [env::consts::OS, release.trim(), env::consts::ARCH];
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Seconds of processor time of this process, and of its children that have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ProcessorTimes {
    pub(crate) user: f64,
    pub(crate) system: f64,
    pub(crate) children_user: f64,
    pub(crate) children_system: f64,
}

/// Returns the processor time, on Linux: fields 14 to 17 of `proc_pid_stat(5)`.
pub(crate) fn processor_times() -> Option<ProcessorTimes> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the program's name, is in parentheses and may contain any character.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let mut ticks = after_name.split_whitespace().skip(11);
    let mut seconds = || Some(ticks.next()?.parse::<f64>().ok()? / TICKS_PER_S);
    Some(ProcessorTimes {
        user: seconds()?,
        system: seconds()?,
        children_user: seconds()?,
        children_system: seconds()?,
    })
}

/// Linux's unit for processor time, on nearly every machine (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;
