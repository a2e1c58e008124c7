//! Processes of the tests: none outlives its test, however the test ends.

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use respool_testing::process::{Process, with_default_signals};
use respool_testing::{PATIENCE, eventually};

/// Set for the child of a test that will be killed.
const CHILD: &str = "RESPOOL_TEST_IS_KILLED";

#[test]
fn killed_test_leaves_no_process() {
    if env::var_os(CHILD).is_some() {
        // The first group is a shell and its child.
        let mut shell = Command::new("sh");
        let mut shell =
            Process::start(shell.args(["-c", "sleep 1000 & echo $! && exec sleep 1000"]));
        let grandchild = shell.expect("\n");
        println!("\nstarted {grandchild} {} .", shell.id());
        let other = Process::start(Command::new("sleep").arg("1000"));
        println!("\nstarted {} .", other.id());
        drop(shell.ended(PATIENCE));
        return;
    }
    let name = "processes::killed_test_leaves_no_process";
    let mut child = Command::new(env::current_exe().expect("this program is a file"));
    child.args(["--exact", name, "--nocapture"]).env(CHILD, "1");
    let mut child = Process::start_dialogue(&mut child);
    child.expect("\nstarted ");
    let mut started = child.expect(".");
    child.expect("\nstarted ");
    started += &child.expect(".");
    let ids: Vec<_> = started.split_whitespace().collect();
    assert_eq!(ids.len(), 3, "{started}");
    // Kills the test alone, not its group: no code of it runs afterwards.
    child.signal("KILL");
    eventually("all that it has started is gone", || {
        let is_gone = |id: &&str| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat"));
            // A zombie.
            stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
        };
        ids.iter().all(is_gone)
    });
}

#[test]
fn child_is_ended_by_sigint_where_the_shell_ignores_it() {
    let inner = with_default_signals(Path::new("sh"));
    let words: Vec<_> = [inner.get_program()]
        .into_iter()
        .chain(inner.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let script = format!(
        "trap '' INT HUP; exec {} -c 'echo ready; exec sleep 1000'",
        words.join(" ")
    );
    for signal in ["INT", "HUP"] {
        let mut child = Process::start(Command::new("sh").args(["-c", &script]));
        child.expect("ready\n");
        child.signal(signal);
        let ended = child.ended(PATIENCE);
        assert!(ended.status.signal().is_some(), "{}", ended.status);
    }
}
