//! A case: a real client, its actions, and the outcome.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use crate::process::Respool;

pub struct Case {
    pub client: &'static str,
    pub version: String,
    checks: String,
    run: Box<dyn Fn() -> Outcome + Send>,
}

/// A failure is a panic, as in any test.
pub type Outcome = Result<(), NotRun>;

/// Why a case could not run: its client is not installed.
#[derive(Clone, Debug)]
pub struct NotRun(pub String);

enum Verdict {
    Ok,
    Failed(String),
    NotRun(String),
}

impl Case {
    /// `run` uses the client against a server of its own: once with two workers, once with one.
    pub fn new(
        client: &'static str,
        version: impl Into<String>,
        checks: impl Into<String>,
        run: impl Fn(&Respool) -> Outcome + Send + 'static,
    ) -> Self {
        Self::without_server(client, version, checks, move || {
            for workers in [2, 1] {
                let server = Respool::start_beside_others(workers);
                run(&server)?;
                outlived(server);
            }
            Ok(())
        })
    }

    pub fn without_server(
        client: &'static str,
        version: impl Into<String>,
        checks: impl Into<String>,
        run: impl Fn() -> Outcome + Send + 'static,
    ) -> Self {
        Self {
            client,
            version: version.into(),
            checks: checks.into(),
            run: Box::new(run),
        }
    }

    pub fn title(&self) -> String {
        let name = format!("{} {}", self.client, self.version);
        format!("{}: {}", name.trim_end(), self.checks)
    }

    fn verdict(&self) -> Verdict {
        match panic::catch_unwind(AssertUnwindSafe(&self.run)) {
            Ok(Ok(())) => Verdict::Ok,
            Ok(Err(NotRun(why))) => Verdict::NotRun(on_one_line(&why)),
            Err(_) => Verdict::Failed(on_one_line(&PANIC.take())),
        }
    }
}

/// Expects that the server answers promptly, stops in order, and has logged no warning.
pub fn outlived(server: Respool) {
    let took = server.connect().ping();
    assert!(took < PROMPT, "the PING after the case took {took:?}");
    let log = server.stop();
    assert!(!log.contains("[warning]"), "the server has warned: {log}");
}

/// Keeps the cases whose line has all `words` of the command line, which are those that are not
/// flags for the test harness.
pub fn chosen(mut cases: Vec<Case>) -> Vec<Case> {
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    cases.retain(|case| words.iter().all(|word| case.title().contains(word)));
    cases
}

/// Runs `cases`, as many at the same time as there are `lanes`, and prints a line for each in order,
/// and at last a line that begins with `name`. Succeeds if none failed.
pub fn run(name: &str, lanes: usize, cases: Vec<Case>) -> ExitCode {
    panic::set_hook(Box::new(|panic| PANIC.set(message_of(panic))));
    let (mut ok, mut failed, mut not_run) = (0, 0, 0);
    let waiting = Mutex::new(cases.into_iter().enumerate());
    let next = || waiting.lock().next();
    thread::scope(|scope| {
        let (send, results) = mpsc::channel();
        for _ in 0..lanes {
            let send = send.clone();
            scope.spawn(move || {
                while let Some((number, case)) = next() {
                    let line = (case.title(), case.verdict());
                    send.send((number, line)).expect("it is waited for");
                }
            });
        }
        drop(send);

        // Results that are printed after those of earlier cases.
        let mut early = BTreeMap::new();
        let mut printed = 0;
        for (number, line) in results {
            early.insert(number, line);
            while let Some((title, verdict)) = early.remove(&printed) {
                printed += 1;
                match verdict {
                    Verdict::Ok => ok += 1,
                    Verdict::Failed(_) => failed += 1,
                    Verdict::NotRun(_) => not_run += 1,
                }
                print(&match verdict {
                    Verdict::Ok => format!("{title} ... ok"),
                    Verdict::Failed(why) => format!("{title} ... FAILED: {why}"),
                    Verdict::NotRun(why) => format!("{title} ... not run: {why}"),
                });
            }
        }
    });
    print(&format!(
        "{name}: {ok} ok, {failed} failed, {not_run} not run"
    ));
    // A word that matches no case is an error.
    ExitCode::from(u8::from(failed > 0 || ok + not_run == 0))
}

pub fn print(line: &str) {
    println!("{line}");
}

/// Returns the message and place of a panic.
fn message_of(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or(payload.downcast_ref().copied());
    let text = text.unwrap_or("it panicked");
    match panic.location() {
        Some(place) => format!("{text} ({}:{})", place.file(), place.line()),
        None => text.to_owned(),
    }
}

/// Returns `text` on one line. A long text loses its middle: the start says what was checked, and
/// the end of a traceback what failed.
fn on_one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: Vec<char> = words.join(" ").chars().collect();
    if line.len() <= 2 * HALF {
        return line.into_iter().collect();
    }
    let (start, end) = (&line[..HALF], &line[line.len() - HALF..]);
    start.iter().chain(&[' ', '…', ' ']).chain(end).collect()
}

/// Characters of either end of a long text.
const HALF: usize = 300;

thread_local! {
    /// The last panic of this thread.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A PING takes less than a millisecond; this allows for a slow and busy machine.
const PROMPT: Duration = Duration::from_secs(5);
