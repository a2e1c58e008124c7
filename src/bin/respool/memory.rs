//! Returns freed memory to the system. The only module with `unsafe`.
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
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES_MAX) };
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
