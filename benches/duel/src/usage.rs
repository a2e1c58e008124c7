//! The CPU time and the memory that a process has used, from /proc.

use std::io;

use procfs::ProcResult;
use procfs::process::{Process, Schedstat};

/// CPU time in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CpuTime {
    /// Time in user space and in the kernel. The kernel adds the time of a running thread at each
    /// tick, so read this while the process is idle.
    pub(crate) used_ns: u64,
    /// Time in which a thread was ready to run, but something else ran.
    pub(crate) waited_ns: u64,
}

impl CpuTime {
    /// Returns the sum over all threads of a process.
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let mut sum = Self::default();
        for thread in schedstats(process).map_err(io::Error::other)? {
            sum.used_ns += thread.sum_exec_runtime;
            sum.waited_ns += thread.run_delay;
        }
        Ok(sum)
    }
}

/// Returns the nanoseconds for which this process's main thread, the load, waited for a CPU.
pub(crate) fn load_waited_ns() -> io::Result<u64> {
    let main_thread = Process::myself().and_then(|process| process.task_main_thread());
    let schedstat = main_thread.and_then(|thread| thread.schedstat());
    Ok(schedstat.map_err(io::Error::other)?.run_delay)
}

fn schedstats(process: u32) -> ProcResult<Vec<Schedstat>> {
    let threads = Process::new(process as i32)?.tasks()?;
    threads.map(|thread| thread?.schedstat()).collect()
}

/// Returns the bytes of memory that a process holds and that are not swapped out.
pub(crate) fn resident_bytes(process: u32) -> io::Result<u64> {
    let status = Process::new(process as i32).and_then(|process| process.status());
    let resident_kib = status.map_err(io::Error::other)?.vmrss;
    let resident_kib = resident_kib.ok_or_else(|| io::Error::other("the server has ended"))?;
    Ok(1024 * resident_kib)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::process;
    use std::time::{Duration, Instant};

    use super::*;

    /// The other threads of this process can only add to its time.
    #[test]
    fn computing_takes_cpu_time() {
        let used_ns = || CpuTime::of(process::id()).expect("it runs").used_ns;
        let before = used_ns();
        let deadline = Instant::now() + Duration::from_secs(20);
        while used_ns() < before + 30_000_000 {
            assert!(Instant::now() < deadline, "no time is counted");
            black_box((0..10_000).sum::<u64>());
        }
    }

    #[test]
    fn written_memory_is_resident() {
        const BYTES: usize = 64 << 20;
        let before = resident_bytes(process::id()).expect("it runs");
        let memory = black_box(vec![1_u8; BYTES]);
        let after = resident_bytes(process::id()).expect("it runs");
        assert!(after >= before + BYTES as u64 / 2, "{before}, {after}");
        drop(memory);
    }
}
