//! Freed memory: back to the system. The one module with `unsafe`.
//!
//! glibc returns freed memory by itself only at the end of a heap, and the more it was given at once
//! before, the more it keeps there: up to 64 MiB for each thread. One client that stays can pin what
//! thousands that left have freed: 1,000,000 subscriptions left 350 MiB. Other allocators need no such
//! calls.

#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "no crate has a safe binding")
)]

/// Bounds what the allocator keeps at the end of a heap. To be called before there are threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn bound_kept() {
    // SAFETY: it takes no pointer, and only numbers that `mallopt(3)` allows.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES_MAX) };
}

/// Returns memory to the system that the allocator keeps between memory in use.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn return_freed() {
    // SAFETY: it takes no pointer, leaves memory in use alone, and any thread may call it at any time
    // (`malloc_trim(3)`: MT-Safe).
    unsafe { libc::malloc_trim(0) };
}

/// Bytes kept at the end of a heap: glibc's own default before it raises it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES_MAX: i32 = 128 * 1024;

/// Does nothing.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn bound_kept() {}

/// Does nothing.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn return_freed() {}
