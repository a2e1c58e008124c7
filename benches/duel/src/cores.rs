//! Where processes run, and that none of them outlives the bench.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::products::Program;

/// The CPUs of the servers and those of the load.
#[derive(Debug, Clone)]
pub(crate) struct Cores {
    pub(crate) servers: Vec<usize>,
    pub(crate) load: Vec<usize>,
}

impl Cores {
    /// One for the servers and another for the load, if there are two; `chosen` names them.
    pub(crate) fn apart(chosen: Option<(usize, usize)>) -> io::Result<Self> {
        let allowed = system::allowed()?;
        let (server, load) = match (chosen, allowed.as_slice()) {
            (Some(chosen), _) => chosen,
            (None, &[server, load, ..]) => (server, load),
            (None, _) => return Ok(Self::shared(allowed)),
        };
        Ok(Self {
            servers: vec![server],
            load: vec![load],
        })
    }

    /// The same load, with all CPUs for the servers.
    pub(crate) fn with_all_for_servers(&self) -> io::Result<Self> {
        Ok(Self {
            servers: system::allowed()?,
            load: self.load.clone(),
        })
    }

    fn shared(all: Vec<usize>) -> Self {
        Self {
            servers: all.clone(),
            load: all,
        }
    }

    /// Puts this thread where the load belongs. Threads that it starts are there too.
    pub(crate) fn move_to_load(&self) -> io::Result<()> {
        system::move_to(&self.load)
    }

    /// Calls `spawn`, whose process is where the servers belong: a child is where its parent was.
    pub(crate) fn among_servers<T>(&self, spawn: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        system::move_to(&self.servers)?;
        let spawned = spawn();
        self.move_to_load()?;
        spawned
    }
}

/// The argument by which this program becomes another one that dies with its parent.
pub(crate) const LEASH_ARGUMENT: &str = "--die-with-parent";

/// A command that runs `program` and dies with this process, however that ends.
pub(crate) fn on_a_leash(program: &Program) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(LEASH_ARGUMENT)
        .arg(std::process::id().to_string());
    command.arg(program.name).arg(&program.path);
    Ok(command)
}

/// What stands behind [`LEASH_ARGUMENT`]: parent, name, program and its arguments. Returns only if
/// it fails. The wish to die with the parent outlives the change of program.
pub(crate) fn become_program(arguments: &[OsString]) -> io::Error {
    let [parent, name, program, rest @ ..] = arguments else {
        return io::Error::other("the arguments of a leash are missing");
    };
    if let Err(error) = system::die_with_parent() {
        return error;
    }
    // It may have died before it was asked.
    if OsStr::new(&std::os::unix::process::parent_id().to_string()) != parent {
        return io::Error::other("the parent is gone");
    }
    Command::new(program).arg0(name).args(rest).exec()
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;

    use rustix::process::{Signal, set_parent_process_death_signal};
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// What the whole process could use when it started. The main thread itself moves.
    pub(super) fn allowed() -> io::Result<Vec<usize>> {
        static FIRST: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
        if FIRST.get().is_none() {
            let set = sched_getaffinity(None)?;
            let cores = (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core));
            let _ = FIRST.set(cores.collect());
        }
        Ok(FIRST.get().cloned().unwrap_or_default())
    }

    pub(super) fn move_to(cores: &[usize]) -> io::Result<()> {
        let mut set = CpuSet::new();
        for &core in cores {
            set.set(core);
        }
        sched_setaffinity(None, &set)
            .map_err(|error| io::Error::other(format!("cannot run on the CPUs {cores:?}: {error}")))
    }

    pub(super) fn die_with_parent() -> io::Result<()> {
        Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
    }
}

/// Elsewhere the bench compiles, and says at once that it needs Linux.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    fn needs_linux() -> io::Error {
        io::Error::new(io::ErrorKind::Unsupported, "the bench needs Linux")
    }

    pub(super) fn allowed() -> io::Result<Vec<usize>> {
        Err(needs_linux())
    }

    pub(super) fn move_to(_cores: &[usize]) -> io::Result<()> {
        Err(needs_linux())
    }

    pub(super) fn die_with_parent() -> io::Result<()> {
        Err(needs_linux())
    }
}
