//! The CPUs of the servers and of the load.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

#[derive(Debug)]
pub(crate) struct Cores {
    pub(crate) servers: Vec<usize>,
    pub(crate) load: Vec<usize>,
}

impl Cores {
    /// Chooses a CPU for the servers and another for the load, and moves this thread to the latter.
    /// `chosen` names the two. If there is only one CPU, both use it.
    pub(crate) fn divide(chosen: Option<(usize, usize)>) -> io::Result<Self> {
        let allowed = allowed()?;
        let (servers, load) = match (chosen, allowed.as_slice()) {
            (Some((server, load)), _) | (None, &[server, load, ..]) => (vec![server], vec![load]),
            (None, _) => (allowed.clone(), allowed),
        };
        move_to(&load)?;
        Ok(Self { servers, load })
    }

    /// As [`Self::divide`], but the servers may use all CPUs.
    pub(crate) fn share(chosen: Option<(usize, usize)>) -> io::Result<Self> {
        let servers = allowed()?;
        let Self { load, .. } = Self::divide(chosen)?;
        Ok(Self { servers, load })
    }

    /// Calls `spawn` on the CPUs of the servers, which the new process inherits.
    pub(crate) fn spawn_server<T>(&self, spawn: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        move_to(&self.servers)?;
        let spawned = spawn();
        move_to(&self.load)?;
        spawned
    }
}

fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    let cpus = 0..CpuSet::MAX_CPU;
    Ok(cpus.filter(|&cpu| set.is_set(cpu)).collect())
}

/// Moves this thread. The threads and processes that it starts inherit its CPUs.
fn move_to(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    sched_setaffinity(None, &set)
        .map_err(|error| io::Error::other(format!("cannot run on the CPUs {cpus:?}: {error}")))
}
