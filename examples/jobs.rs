//! Commands that wait for something slow, while PING stays fast.
//!
//! ```console
//! $ cargo run --release --example jobs
//! $ redis-cli -p 6380 JOB RUN report & redis-cli -p 6380 PING
//! PONG
//! "report: done"
//! ```
//!
//! A handler may block: its worker waits with it, and the others serve the other clients. As many
//! clients as there are workers could wait at the same time, and then nobody would be served; so
//! there is one job fewer at a time than workers, and whoever comes then is told to come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use respool::{Arity, Commands, Config, Server, StartError};

const WORKERS: usize = 8;

fn main() -> Result<(), StartError> {
    let config = Config {
        port: 6380,
        workers: WORKERS,
        ..Config::default()
    };
    // It stands for what takes its time: a disk, a database, another machine.
    let work = |name: &str| {
        thread::sleep(Duration::from_secs(1));
        format!("{name}: done")
    };
    let server = Server::bind(config, commands(WORKERS - 1, work))?;
    println!("redis-cli -p {} JOB RUN report", server.local_addr().port());
    server.serve()?;
    Ok(())
}

/// `JOB RUN name` and `JOB COUNT`, with at most so many jobs at a time.
pub(crate) fn commands(
    jobs_max: usize,
    work: impl Fn(&str) -> String + Send + Sync + 'static,
) -> Commands {
    let slots = Arc::new(Slots {
        taken: AtomicUsize::new(0),
        max: jobs_max,
    });
    let mut commands = Commands::builtin();
    let mut jobs = commands.container("JOB");
    let counted = Arc::clone(&slots);
    jobs.register("COUNT", Arity::Exactly(2), move |_, _, reply| {
        reply.integer(counted.taken.load(Ordering::Relaxed) as i64)
    })
    .describe("Says how many jobs run")
    .never_blocks();
    jobs.register("RUN", Arity::Exactly(3), move |_, request, reply| {
        // Argument 0 is the subcommand's name.
        let name = match request.text(1) {
            Ok(name) => name,
            Err(error) => return reply.error(error.to_string()),
        };
        let Some(_slot) = slots.take() else {
            return reply.error("BUSY every job that may run does; try again later");
        };
        reply.bulk(work(name))
    })
    .describe("Runs a job and gives its result");
    if let Some(jobs) = commands.get_mut("JOB") {
        jobs.describe("A container for jobs");
    }
    commands
}

/// How many jobs run, and how many may.
struct Slots {
    taken: AtomicUsize,
    max: usize,
}

/// One of them, until it is dropped: also when the job panics.
struct Slot<'a>(&'a Slots);

impl Slots {
    fn take(&self) -> Option<Slot<'_>> {
        let one_more = |taken| (taken < self.max).then_some(taken + 1);
        let taken = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Slot(self))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
