//! Restarts threads after a panic.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::StartError;
use crate::logging;
use crate::state::ServerState;

/// Runs `body` until it returns, and again after each panic. So a panic affects only one request,
/// connection or tick. If `body` panics again and again, calls `give_up` and returns.
pub(crate) fn keep_running(name: &str, body: impl FnMut(), give_up: impl FnOnce()) {
    if !is_ended(name, body, "draining (restart the server)") {
        give_up();
    }
}

/// As [`keep_running`], for a thread that the server can do without. If `body` panics again and
/// again, logs `loss`, the consequence, and returns.
pub(super) fn keep_running_or_lose(name: &str, body: impl FnMut(), loss: &str) {
    is_ended(name, body, loss);
}

/// Runs `body` until it returns, and again after each panic. Returns false if it panics again and
/// again, and logs `consequence`.
fn is_ended(name: &str, mut body: impl FnMut(), consequence: &str) -> bool {
    let mut panics = 0;
    while panics <= RESTARTS_MAX {
        let start = Instant::now();
        let Err(panic) = catch_unwind(AssertUnwindSafe(&mut body)) else {
            return true;
        };
        if start.elapsed() > FORGOTTEN_AFTER {
            panics = 0;
        }
        panics += 1;
        let text = panic_text(panic.as_ref());
        // The logger itself may panic.
        let _ = catch_unwind(|| logging::error!("thread {name} panicked and continues: {text}"));
    }
    let _ = catch_unwind(|| {
        logging::error!("thread {name} panicked {panics} times: {consequence}");
    });
    false
}

/// Returns the text of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// Starts a thread of a server, named for its `role`, when the server starts.
pub(crate) fn spawn<T: Send + 'static>(
    state: &ServerState,
    role: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<thread::JoinHandle<T>, StartError> {
    start_thread(state, role, body).map_err(StartError::Thread)
}

/// Starts a thread of a server, named for its `role`.
pub(super) fn start_thread<T: Send + 'static>(
    state: &ServerState,
    role: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<thread::JoinHandle<T>> {
    let server = state.name();
    let name = thread_name(server.as_deref(), role);
    thread::Builder::new().name(name).spawn(move || {
        let _entered = logging::enter(server);
        body()
    })
}

/// Returns the name of a thread: its role, after the name of a server that has one. Linux shows 15
/// bytes, so the name of the server is cut to what fits.
fn thread_name(server: Option<&str>, role: &str) -> String {
    let Some(server) = server else {
        return role.to_owned();
    };
    let room = THREAD_NAME_BYTES_MAX.saturating_sub(role.len() + 1);
    let mut end = room.min(server.len());
    while !server.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{role}", &server[..end])
}

/// Maximum bytes of a thread's name in Linux.
const THREAD_NAME_BYTES_MAX: usize = 15;

/// Restarts of a thread, each within [`FORGOTTEN_AFTER`] of the one before.
const RESTARTS_MAX: u32 = 10;

/// Running time after which earlier panics do not count.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    use std::cell::Cell;

    /// Runs a body that panics `count` times. Returns its runs, and whether it was given up.
    fn run_with_panics(count: u32) -> (u32, bool) {
        let (runs, given_up) = (Cell::new(0), Cell::new(false));
        let body = || {
            runs.set(runs.get() + 1);
            assert!(runs.get() > count, "a panic of the test");
        };
        keep_running("test", body, || given_up.set(true));
        (runs.get(), given_up.get())
    }

    #[test]
    fn body_is_run_again_after_each_panic() {
        assert_eq!(run_with_panics(0), (1, false));
        assert_eq!(run_with_panics(1), (2, false));
        assert_eq!(run_with_panics(RESTARTS_MAX), (RESTARTS_MAX + 1, false));
    }

    #[test]
    fn thread_names_fit_into_15_bytes() {
        for (server, role, name) in [
            (None, "worker-3", "worker-3"),
            (Some("cache"), "worker-3", "cache-worker-3"),
            (Some("payments"), "worker-1023", "pay-worker-1023"),
            (Some("payments"), "certificates", "pa-certificates"),
            (Some("\u{e4}\u{e4}"), "worker-1023", "\u{e4}-worker-1023"),
        ] {
            assert_eq!(thread_name(server, role), name);
        }
    }

    #[test]
    fn body_that_never_stops_panicking_is_given_up() {
        assert_eq!(run_with_panics(u32::MAX), (RESTARTS_MAX + 1, true));
        let mut runs = 0;
        let body = || {
            runs += 1;
            panic!("a panic of the test");
        };
        keep_running_or_lose("test", body, "nothing is lost");
        assert_eq!(runs, RESTARTS_MAX + 1);
    }
}
