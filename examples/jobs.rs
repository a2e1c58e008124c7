//! Commands that wait for something slow, while PING stays fast.
//!
//! ```console
//! $ cargo run --release --example jobs
//! $ redis-cli -p 6380 JOB RUN report & redis-cli -p 6380 PING
//! PONG
//! "report: done"
//! ```
//!
//! A handler may block its worker, because the other workers serve the other clients. If every
//! worker were blocked, no client would be served. So one job fewer than there are workers may run
//! at once; further requests receive an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use respool::{Arity, Commands, Config, ErrorReply, Server, StartError};

const WORKERS: usize = 8;

fn main() -> Result<(), StartError> {
    let config = Config {
        port: 6380,
        workers: WORKERS,
        ..Config::default()
    };
    // Stands for a slow disk, database or server.
    let work = |name: &str| {
        thread::sleep(Duration::from_secs(1));
        format!("{name}: done")
    };
    let server = Server::bind(config, commands(WORKERS - 1, work))?;
    let port = server.local_addrs()[0].port();
    println!("redis-cli -p {port} JOB RUN report");
    server.serve()?;
    Ok(())
}

/// Returns the commands `JOB RUN name` and `JOB COUNT`; at most `jobs_max` jobs run at once.
pub(crate) fn commands(
    jobs_max: usize,
    work: impl Fn(&str) -> String + Send + Sync + 'static,
) -> Commands {
    let slots = Arc::new(Slots {
        taken: AtomicUsize::new(0),
        max: jobs_max,
    });
    let mut commands = Commands::builtin();
    let counted = Arc::clone(&slots);
    commands
        .container("JOB")
        .describe("A container for jobs")
        .register("COUNT", Arity::Exactly(2), move |_, _, reply| {
            reply.value(counted.taken.load(Ordering::Relaxed))
        })
        .describe("Returns the number of running jobs")
        .never_blocks()
        .register("RUN", Arity::Exactly(3), move |_, request, reply| {
            // Argument 0 is the subcommand.
            let name = request.text(1)?;
            let _slot = slots.take().ok_or(BUSY)?;
            Ok(reply.bulk(work(name)))
        })
        .describe("Runs a job and returns its result");
    commands
}

const BUSY: ErrorReply = ErrorReply::constant(
    "BUSY",
    "the maximum number of jobs is running; try again later",
);

/// The number of running jobs, and the maximum.
struct Slots {
    taken: AtomicUsize,
    max: usize,
}

/// A running job. Dropped when the job ends, even by a panic.
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
