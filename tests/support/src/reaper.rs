//! Ends the processes that this one has started when it ends itself, however that happens: a
//! destructor does not run when a test is killed.
//!
//! The reaper is a shell that reads which process groups there are. Its input ends with this
//! process, and then it kills the groups that are left.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};

use parking_lot::Mutex;

/// Has the process group of this number killed when this process ends, until [`forget`].
pub fn watch(group: u32) {
    tell('+', group);
}

/// Forgets a group. Call it before the group's leader is waited for: the number may be given to
/// another group after that.
pub fn forget(group: u32) {
    tell('-', group);
}

fn tell(change: char, group: u32) {
    static REAPER: Mutex<Option<ChildStdin>> = Mutex::new(None);
    let mut reaper = REAPER.lock();
    let input = reaper.get_or_insert_with(start);
    writeln!(input, "{change} {group}").expect("the reaper lives as long as its input is open");
}

fn start() -> ChildStdin {
    let reaper = Command::new("sh")
        .args(["-c", SCRIPT])
        // Not in the group of the tests, which may be killed as a whole.
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
