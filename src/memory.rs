//! The memory that this process may use, and the memory that it uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Returns how many bytes of memory this process may use: those of the machine, or fewer if its
/// cgroup allows fewer. `None` if the system does not say. Read once: a later change of the cgroup
/// has no effect.
pub(crate) fn allowed_bytes() -> Option<usize> {
    static BYTES: OnceLock<Option<usize>> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let limits =
            limit_files(&cgroups).filter_map(|file| number(&fs::read_to_string(file).ok()?));
        machine_bytes().into_iter().chain(limits).min()
    })
}

/// Returns the bytes of memory of the machine.
pub(crate) fn machine_bytes() -> Option<usize> {
    bytes_in("/proc/meminfo", "MemTotal:")
}

/// Returns the bytes of this process that are in memory now, and their peak.
pub(crate) fn usage() -> Option<(u64, u64)> {
    let resident = resident_bytes()?;
    // Read one after the other, so the peak may be the smaller.
    let peak = peak_bytes().map_or(resident, |peak| peak.max(resident));
    Some((resident as u64, peak as u64))
}

/// Returns the bytes of this process that are in memory.
pub(crate) fn resident_bytes() -> Option<usize> {
    bytes_in("/proc/self/status", "VmRSS:")
}

/// Returns the peak of the bytes of this process in memory.
pub(crate) fn peak_bytes() -> Option<usize> {
    bytes_in("/proc/self/status", "VmHWM:")
}

/// Returns a field of a file as in `proc_meminfo(5)` or `proc_pid_status(5)`, in bytes; `None`
/// where the system has no such file.
fn bytes_in(file: &str, field: &str) -> Option<usize> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    number(line.trim().strip_suffix("kB")?).map(|kib| kib * 1024)
}

/// The files that limit a process of these `cgroups`, a text as in `/proc/self/cgroup`
/// (`cgroups(7)`): those of its own cgroup and of all above it. A container often sees its own
/// cgroup as the topmost.
fn limit_files(cgroups: &str) -> impl Iterator<Item = PathBuf> {
    let files = |line: &str| {
        let (_, fields) = line.split_once(':')?;
        let (controllers, path) = fields.split_once(':')?;
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let own = Path::new(root).join(path.strip_prefix('/')?);
        let groups = own.ancestors().take_while(|group| group.starts_with(root));
        Some(groups.map(|group| group.join(file)).collect::<Vec<_>>())
    };
    cgroups.lines().filter_map(files).flatten()
}

/// Parses a number of bytes; `None` for `max`, which means no limit.
fn number(text: &str) -> Option<usize> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_a_cgroup_and_its_ancestors_count() {
        let files = |text| {
            let files = limit_files(text).map(|file| file.display().to_string());
            files.collect::<Vec<_>>()
        };
        assert_eq!(
            files("1:cpu:/a\n0::/a/b\n"),
            [
                "/sys/fs/cgroup/a/b/memory.max",
                "/sys/fs/cgroup/a/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert_eq!(
            files("4:cpuset,memory:/\n"),
            ["/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        );
        assert!(files("garbage").is_empty());
    }

    #[test]
    fn max_is_no_limit() {
        assert_eq!(number("max\n"), None);
        assert_eq!(number("1048576\n"), Some(1 << 20));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_reports_memory() {
        assert!(allowed_bytes() > Some(1 << 20));
        assert!(resident_bytes() > Some(1 << 10));
        assert!(peak_bytes() > Some(1 << 10));
    }
}
