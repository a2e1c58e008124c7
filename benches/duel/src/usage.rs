//! What a process has used: proc(5).

use std::fs;
use std::io::{self, ErrorKind};

/// Nanoseconds of CPU, of all threads of a process together, so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    /// In user space and in the kernel. Of a thread that is running, those since the last tick are
    /// missing: ask while it rests.
    pub(crate) used_ns: u64,
    /// Ready to run, but something else ran.
    pub(crate) waited_ns: u64,
}

impl Cpu {
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let mut sum = Self::default();
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            match fs::read_to_string(thread?.path().join("schedstat")) {
                Ok(text) => {
                    let thread = Self::read(&text)?;
                    sum.used_ns += thread.used_ns;
                    sum.waited_ns += thread.waited_ns;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Self::in_ticks(process);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sum)
    }

    /// Of the thread that asks; nothing where the kernel keeps no statistics of its scheduler.
    pub(crate) fn of_this_thread() -> io::Result<Self> {
        match fs::read_to_string("/proc/thread-self/schedstat") {
            Ok(text) => Self::read(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn read(schedstat: &str) -> io::Result<Self> {
        let mut words = schedstat.split_whitespace();
        Ok(Self {
            used_ns: number(words.next())?,
            waited_ns: number(words.next())?,
        })
    }

    /// The same where the kernel keeps no statistics of its scheduler: rounded to 10 ms, and
    /// nothing about waiting.
    fn in_ticks(process: u32) -> io::Result<Self> {
        const NANOSECONDS_PER_TICK: u64 = 10_000_000;
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name is in brackets, and may have spaces in it. Behind it are the fields from the
        // third on; the 14th and the 15th are user's and system's time.
        let (_, fields) = stat.rsplit_once(')').ok_or(ErrorKind::InvalidData)?;
        let mut words = fields.split_whitespace().skip(11);
        let ticks = number(words.next())? + number(words.next())?;
        Ok(Self {
            used_ns: ticks * NANOSECONDS_PER_TICK,
            waited_ns: 0,
        })
    }

    /// What was added since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            used_ns: self.used_ns.saturating_sub(before.used_ns),
            waited_ns: self.waited_ns.saturating_sub(before.waited_ns),
        }
    }
}

/// Bytes of memory that the process holds, not swapped out.
pub(crate) fn resident_bytes(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(1024 * number(kib)?)
}

fn number(word: Option<&str>) -> io::Result<u64> {
    let word = word.unwrap_or_default();
    let number = word.parse();
    number.map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("{word:?} is no number")))
}

#[cfg(all(test, target_os = "linux"))]
#[allow(
    dead_code,
    unused_imports,
    reason = "cargo sets `test` for a bench, without tests"
)]
mod tests {
    use std::hint::black_box;
    use std::process;
    use std::time::{Duration, Instant};

    use super::*;

    /// Of this process, whose other threads can only add to it.
    #[test]
    fn work_takes_time_of_the_cpu_by_either_count() {
        for count in [Cpu::of, Cpu::in_ticks] {
            let used_ns = || count(process::id()).expect("it runs").used_ns;
            let before = used_ns();
            let deadline = Instant::now() + Duration::from_secs(20);
            while used_ns() < before + 30_000_000 {
                assert!(Instant::now() < deadline, "no time is counted");
                black_box((0..10_000).sum::<u64>());
            }
        }
    }

    #[test]
    fn memory_that_is_written_to_is_resident() {
        const BYTES: usize = 64 << 20;
        let before = resident_bytes(process::id()).expect("it runs");
        let memory = black_box(vec![1_u8; BYTES]);
        let after = resident_bytes(process::id()).expect("it runs");
        assert!(after >= before + BYTES as u64 / 2, "{before}, {after}");
        drop(memory);
    }
}
