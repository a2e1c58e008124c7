//! What systemd hears of the program: readiness, reloads, the stop, and the watchdog's pings.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use respool_testing::process::Respool;
use respool_testing::{PATIENCE, Peer, Scratch};

use crate::{respool, start};

/// A service manager: the socket that it reads notifications from.
struct Manager {
    socket: UnixDatagram,
    folder: Scratch,
}

impl Manager {
    fn new() -> Self {
        let folder = Scratch::for_sockets();
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("the path is free");
        Self { socket, folder }
    }

    /// Starts the program with these arguments and variables.
    fn start(&self, args: &[&str], variables: &[(&str, &str)]) -> Respool {
        let mut command = respool(args);
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        command.envs(variables.iter().copied());
        Respool::run_beside_others(&mut command)
    }

    /// Returns the next notification before `deadline`.
    fn next_by(&self, deadline: Instant) -> Option<String> {
        let mut buffer = [0; 4096];
        loop {
            let left = deadline.checked_duration_since(Instant::now())?;
            // At least the resolution of the system.
            let timeout = Some(left.max(Duration::from_millis(1)));
            self.socket.set_read_timeout(timeout).expect("it is not 0");
            match self.socket.recv(&mut buffer) {
                Ok(count) => return Some(String::from_utf8_lossy(&buffer[..count]).into_owned()),
                Err(error) => {
                    let kind = error.kind();
                    let goes_on = matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted);
                    assert!(goes_on, "{error}");
                }
            }
        }
    }

    /// Waits for a notification with `text`, and returns it.
    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while let Some(next) = self.next_by(deadline) {
            if next.contains(text) {
                return next;
            }
            seen.push(next);
        }
        panic!("timed out waiting for {text:?} after {seen:?}");
    }

    /// Returns when pings and statuses came in the next `time`.
    fn listen_for(&self, time: Duration) -> Vec<(Instant, String)> {
        let end = Instant::now() + time;
        let mut heard = Vec::new();
        while let Some(text) = self.next_by(end) {
            heard.push((Instant::now(), text));
        }
        heard
    }
}

#[test]
fn readiness_reload_and_stop_are_notified() {
    let manager = Manager::new();
    let server = manager.start(&["--workers", "1", "--drain-delay-ms", "100"], &[]);
    let first = manager.next_by(Instant::now() + PATIENCE);
    assert_eq!(first.as_deref(), Some("READY=1\n"));
    manager.wait_for("STATUS=serving 0 clients on 1 worker\n");
    let mut peer = server.connect();
    let supervised = |peer: &mut Peer, by: &str| {
        let info = peer.answer("INFO server");
        info.contains(&format!("process_supervised:{by}\r\n"))
    };
    assert!(supervised(&mut peer, "systemd"));
    manager.wait_for("STATUS=serving 1 client on 1 worker\n");
    server.signal("HUP");
    let reloading = manager.wait_for("RELOADING=1\n");
    let us = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    let us = us.and_then(|us| us.trim_end().parse::<u64>().ok());
    assert!(us.expect(&reloading) > 0);
    manager.wait_for("READY=1\n");
    server.signal("TERM");
    let stopping = manager.wait_for("STOPPING=1\n");
    // The delay, the drain, and some time for the end.
    assert_eq!(stopping, "STOPPING=1\nEXTEND_TIMEOUT_USEC=6100000\n");
    manager.wait_for("STATUS=draining");
    server.ended(PATIENCE).without_complaint();
    let other = start(&[]);
    assert!(supervised(&mut other.connect(), "no"));
}

#[test]
fn watchdog_is_fed_unless_all_workers_are_stuck() {
    let manager = Manager::new();
    let args = "--workers 2 --enable-debug-command local --stuck-worker-ms 1000";
    let args: Vec<_> = args.split(' ').collect();
    let server = manager.start(&args, &[("WATCHDOG_USEC", "400000")]);
    let mut peers = [server.connect(), server.connect()];
    let is_ping = |heard: &&(Instant, String)| heard.1 == "WATCHDOG=1\n";
    let mut sleep = |seconds: f64| {
        for peer in &mut peers {
            peer.send(format!("DEBUG SLEEP {seconds}\r\n"));
        }
        let heard = manager.listen_for(Duration::from_secs_f64(seconds));
        for peer in &mut peers {
            peer.expect("+OK\r\n");
        }
        heard
    };
    manager.wait_for("WATCHDOG=1\n");

    let heard = sleep(0.7);
    assert!(heard.iter().any(|heard| is_ping(&heard)), "{heard:?}");

    let heard = sleep(4.0);
    let status =
        "STATUS=every worker has been in one handler for over 1000 ms (2 clients, 2 workers)\n";
    assert!(heard.iter().any(|(_, text)| text == status), "{heard:?}");
    let now = Instant::now();
    let pings = heard.iter().filter(is_ping).map(|(time, _)| *time);
    let pings: Vec<_> = pings.chain([now]).collect();
    let silence = pings.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(silence > Some(Duration::from_millis(1500)), "{heard:?}");

    manager.wait_for("WATCHDOG=1\n");
    drop(peers);
    server.stop();
}

#[test]
#[cfg(target_os = "linux")]
fn manager_may_have_an_abstract_socket() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let folder = Scratch::for_sockets();
    let name = folder.path().display().to_string();
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let socket = UnixDatagram::bind_addr(&address).expect("the name is free");
    let manager = Manager { socket, folder };
    let mut command = respool(&[]);
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    let server = Respool::run_beside_others(&mut command);
    let first = manager.next_by(Instant::now() + PATIENCE);
    assert_eq!(first.as_deref(), Some("READY=1\n"));
    server.stop();
}

#[test]
fn manager_that_is_gone_changes_nothing() {
    let Manager { socket, folder } = Manager::new();
    drop(socket);
    let mut command = respool(&[]);
    command.env("NOTIFY_SOCKET", folder.path().join("notify"));
    let server = Respool::run_beside_others(&mut command);
    server.wait_for_log("cannot notify the service manager: ");
    let log = server.stop();
    assert_eq!(log.matches("service manager").count(), 1, "{log}");
}
