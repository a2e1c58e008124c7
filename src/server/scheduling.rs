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

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;
    use std::process::Command;
    use std::thread;

    /// Calls the function on a thread with the policy of this flag of `chrt`. Returns the number of
    /// its policy then.
    fn policy_after(flag: &'static str) -> i32 {
        let thread = thread::spawn(move || {
            let own = fs::read_link("/proc/thread-self").expect("Linux has it");
            let mut chrt = Command::new("chrt");
            chrt.args([flag, "-p", "0"]);
            let status = chrt
                .arg(own.file_name().expect("the thread's number"))
                .status();
            assert!(status.expect("chrt is installed").success());
            interrupt_no_thread();
            let stat = fs::read_to_string("/proc/thread-self/stat").expect("Linux has it");
            // Field 41 of proc_pid_stat(5). The name is field 2, and may have spaces.
            let (_, fields) = stat.rsplit_once(") ").expect("it has a name");
            let policy = fields.split(' ').nth(41 - 3).expect("there are 52");
            policy.parse().expect("a number")
        });
        thread.join().expect("it does not panic")
    }

    /// Under `chrt -f`, the acceptor left the real-time policy of the workers. Any user may choose
    /// the policy of `chrt -i`.
    #[test]
    fn only_the_usual_policy_is_replaced() {
        assert_eq!(policy_after("-o"), libc::SCHED_BATCH);
        assert_eq!(policy_after("-i"), libc::SCHED_IDLE);
    }
}
