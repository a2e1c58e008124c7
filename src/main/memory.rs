//! Freed memory: back to the system. The one module with `unsafe`.

/// Returns memory that the allocator keeps although it is free to the system.
///
/// glibc does so by itself only at the end of a heap. One client that stays can pin there what
/// thousands that left have freed: 1,000,000 subscriptions left 350 MiB. Other allocators need no
/// such call.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no crate has a safe binding")]
pub(super) fn return_freed() {
    // SAFETY: it takes no pointer, leaves memory in use alone, and any thread may call it at any time
    // (`malloc_trim(3)`: MT-Safe).
    unsafe { libc::malloc_trim(0) };
}

/// Does nothing.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn return_freed() {}
