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
/// A policy that the owner of the process has chosen stays. If a sandbox refuses the call with an
/// error, nothing changes, either. One that kills the process has to allow `sched_setscheduler`.
#[cfg(target_os = "linux")]
pub(super) fn interrupt_no_thread() {
    // SAFETY: the structure has numbers only, and this policy wants 0 for its priority. The calls
    // write and read it and `policy`, and keep no pointer to them.
    unsafe {
        let (mut policy, mut parameters) = (0, mem::zeroed());
        let thread = libc::pthread_self();
        let error = libc::pthread_getschedparam(thread, &raw mut policy, &raw mut parameters);
        if (error, policy) == (0, libc::SCHED_OTHER) {
            libc::pthread_setschedparam(thread, libc::SCHED_BATCH, &raw const parameters);
        }
    }
}

/// Does nothing: other systems have no such policy.
#[cfg(not(target_os = "linux"))]
pub(super) fn interrupt_no_thread() {}
