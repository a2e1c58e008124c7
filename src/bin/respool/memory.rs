//! Returns freed memory to the system. The only module of the program with `unsafe`.
//!
//! glibc returns only memory at the end of a heap, and keeps up to 64 MiB there for each thread,
//! the more the more it got at once. One client that stays can pin the memory of thousands that
//! left: 1,000,000 subscriptions left 350 MiB. Other allocators need no such calls.

#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "no crate has a safe binding")
)]

/// Limits the freed memory that the allocator keeps at the end of a heap. Call it before any thread
/// starts.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn bound_kept() {
    // SAFETY: takes no pointer, and only numbers that `mallopt(3)` allows.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES_MAX);
        // No fast bins: lists of small freed chunks. Without them, a chunk that is freed joins free
        // neighbours at once, and the end of a heap is returned when it grows. With them,
        // `malloc_trim` joins the neighbours: the end of a heap grows, and of threads' heaps
        // `malloc_trim` does not return the end. Up to 64 MiB stayed.
        libc::mallopt(libc::M_MXFAST, 0);
    };
}

/// Returns freed memory between memory in use to the system.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn return_freed() {
    // SAFETY: takes no pointer, leaves memory in use alone, and is MT-Safe (`malloc_trim(3)`).
    unsafe { libc::malloc_trim(0) };
}

/// Bytes kept at the end of a heap: glibc's default, which it would raise.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES_MAX: i32 = 128 * 1024;

/// Does nothing.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn bound_kept() {}

/// Does nothing.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn return_freed() {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::{fs, thread};

    use super::*;

    /// Returns the KiB of this process that are in memory.
    fn resident_kib() -> usize {
        let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix("kB"));
        number
            .and_then(|kib| kib.trim().parse().ok())
            .expect("a number")
    }

    // Regression: a small chunk, freed last between large free chunks and the end of a thread's
    // heap, kept all of them.
    #[test]
    fn memory_before_a_small_chunk_is_returned() {
        bound_kept();
        let before = resident_kib();
        // In another thread, and so in a heap of its own.
        let allocated = thread::spawn(|| {
            let small = || Box::new([1_u8; 40]);
            // Freed first, they fill this thread's cache for their size.
            let cached: Vec<_> = (0..7).map(|_| small()).collect();
            let large: Vec<_> = (0..4000).map(|_| vec![1_u8; 10_000]).collect();
            (cached, large, small())
        });
        let (cached, large, last) = allocated.join().expect("no panic");
        let during = resident_kib();
        drop(cached);
        drop(large);
        drop(last);
        return_freed();
        let after = resident_kib();
        assert!(during > before + 30_000, "{before} {during}");
        assert!(after < before + 10_000, "{before} {during} {after}");
    }
}
