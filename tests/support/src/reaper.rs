//! Kills the processes that this process has started when it ends, however it ends: no destructor
//! runs when a test is killed.
//!
//! The reaper is a shell that reads the ids of process groups. When this process ends, so does the
//! shell's input, and it kills the groups that are left.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};

use parking_lot::Mutex;

/// Registers a process group to be killed when this process ends.
pub fn watch(group: u32) {
    send('+', group);
}

/// Unregisters a group. Call this before the leader is reaped: the id may be reused afterwards.
pub fn forget(group: u32) {
    send('-', group);
}

fn send(change: char, group: u32) {
    static REAPER: Mutex<Option<ChildStdin>> = Mutex::new(None);
    let mut reaper = REAPER.lock();
    let input = reaper.get_or_insert_with(start);
    writeln!(input, "{change} {group}").expect("the reaper lives as long as its input is open");
}

fn start() -> ChildStdin {
    let reaper = Command::new("sh")
        .args(["-c", SCRIPT])
        // Outside of the group of the tests, which may be killed as a whole.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let input = reaper.expect("there is a shell").stdin.take();
    input.expect("it is piped")
}

const SCRIPT: &str = "
trap '' HUP INT QUIT TERM
groups=' '
while read -r change group; do
    case $change in
        +) groups=\"$groups$group \" ;;
        -) groups=\"${groups%% $group *} ${groups#* $group }\" ;;
    esac
done
for group in $groups; do
    kill -s KILL -- -$group
done
";
