//! The scheduling policy of the acceptor. Has `unsafe`: no crate in use has a safe binding.

#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "no crate in use has a safe binding")
)]

#[cfg(target_os = "linux")]
use std::mem;

/// Keeps the calling thread from interrupting another one when it wakes up: `SCHED_BATCH` of
/// `sched(7)`. It has the same share of the processors as before.
///
/// Otherwise, where the acceptor and a worker share a processor, nearly every connection interrupts
/// the worker in the turn of another client. Where a processor is idle, nothing changes.
///
/// Not every sandbox permits this (systemd's `~@resources` does not). Then nothing changes, either.
#[cfg(target_os = "linux")]
pub(super) fn interrupt_no_thread() {
    // SAFETY: the structure has numbers only, and this policy wants 0 for its priority. The call
    // reads it and keeps no pointer to it.
    unsafe {
        let parameters = mem::zeroed();
        libc::pthread_setschedparam(
            libc::pthread_self(),
            libc::SCHED_BATCH,
            &raw const parameters,
        );
    }
}

/// Does nothing: other systems have no such policy.
#[cfg(not(target_os = "linux"))]
pub(super) fn interrupt_no_thread() {}
