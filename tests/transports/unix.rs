//! Unix sockets: who connects how, and what becomes of the file.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use respool_testing::load::Load;
use respool_testing::process::{Ended, Process};
use respool_testing::target::program;
use respool_testing::{PATIENCE, Peer, Scratch, eventually, free_port};

/// A server that listens on a Unix socket only.
struct OnFile {
    process: Process,
    path: PathBuf,
    // Dropped last, after the process has ended.
    _folder: Scratch,
}

impl OnFile {
    fn start(args: &[&str]) -> Self {
        let folder = Scratch::for_sockets();
        let path = folder.path().join("socket");
        let process = listening(&path, args);
        Self {
            process,
            path,
            _folder: folder,
        }
    }

    fn connect(&self) -> Peer<UnixStream> {
        Peer::connect_to_file(&self.path)
    }

    /// Returns the address of its clients as CLIENT LIST shows it.
    fn addr(&self) -> String {
        format!("{}:0", self.path.display())
    }

    #[track_caller]
    fn stop(self) -> String {
        self.process.signal("TERM");
        let log = self.process.ended(PATIENCE).without_complaint();
        assert!(!self.path.exists(), "{log}");
        log
    }
}

/// Returns a command that listens on a Unix socket at `path` only.
fn on_file(path: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(["--loglevel", "verbose", "--bind", "", "--unixsocket"]);
    command.arg(path).args(args);
    command
}

/// Starts a server that listens at `path`, and waits until it does.
#[track_caller]
fn listening(path: &Path, args: &[&str]) -> Process {
    let mut process = Process::start(&mut on_file(path, args));
    process.expect(&format!(" answers on {} with ", path.display()));
    process.expect(&format!("try: redis-cli -s {} PING\n", path.display()));
    process
}

/// Runs a server that cannot listen at `path`.
#[track_caller]
fn refused(path: &Path, args: &[&str]) -> Ended {
    Process::start(&mut on_file(path, args)).ended(PATIENCE)
}

#[test]
fn client_of_a_unix_socket_is_shown_as_in_redis() {
    let server = OnFile::start(&["--slowlog-log-slower-than", "0"]);
    let addr = server.addr();
    let (mut peer, mut monitor) = (server.connect(), server.connect());
    let line = peer.answer("CLIENT INFO");
    assert!(
        line.contains(&format!(" addr={addr} laddr={addr} ")),
        "{line}"
    );
    assert!(line.contains(" flags=U "), "{line}");
    peer.answer("CLIENT NO-EVICT on");
    let line = peer.answer("CLIENT INFO");
    assert!(line.contains(" flags=Ue "), "{line}");

    monitor.ask("MONITOR\r\n", "+OK\r\n");
    peer.ping();
    let line = monitor.line();
    let shown = format!(" [0 unix:{}] \"PING\"", server.path.display());
    assert!(line.ends_with(&shown), "{line}");
    let slow = peer.answers("SLOWLOG GET 1");
    assert!(slow.contains(&addr), "{slow:?}");

    let list = peer.answer("CLIENT LIST");
    let line = list.lines().find(|line| line.contains(" flags=OU "));
    let id = line.and_then(|line| line.strip_prefix("id=")?.split(' ').next());
    let id = id.expect("the monitor is listed").to_owned();
    let killed = peer.answer(&format!("CLIENT KILL ADDR {addr}"));
    assert_eq!(killed, "1", "itself is spared");
    monitor.rest();
    let log = server.stop();
    assert!(log.contains(&format!("client 1 connected from {addr}")));
    assert!(log.contains(&format!("client {id} ({addr}) closed after ")));
}

#[test]
fn settings_of_a_unix_socket_are_shown_and_fixed() {
    let server = OnFile::start(&["--unixsocketperm", "0660"]);
    let path = server.path.display().to_string();
    let mut peer = server.connect();
    for (key, value) in [
        ("bind", ""),
        ("unixsocket", &*path),
        ("unixsocketperm", "660"),
    ] {
        assert_eq!(peer.answers(&format!("CONFIG GET {key}")), [key, value]);
    }
    for (key, value) in [("unixsocket", "/tmp/other"), ("unixsocketperm", "600")] {
        let error = peer.answer(&format!("CONFIG SET {key} {value}"));
        assert_eq!(
            error,
            format!(
                "-ERR CONFIG SET failed (possibly related to argument '{key}') - can't set \
                 immutable config"
            )
        );
    }
    let info = peer.answer("INFO server");
    assert!(info.contains("\r\ntcp_port:0\r\n"), "{info}");
    assert!(
        info.contains(&format!("\r\nlistener0:name=unix,bind={path}\r\n")),
        "{info}"
    );
    let file = fs::metadata(&server.path).expect("it listens");
    assert!(file.file_type().is_socket());
    assert_eq!(file.mode() & 0o777, 0o660);
    // It has no effect on a Unix socket, and logs nothing.
    peer.ask("CONFIG SET tcp-keepalive 17\r\n", "+OK\r\n");
    server.connect().ping();
    let log = server.stop();
    assert!(!log.contains("[warning]"), "{log}");
}

#[test]
fn unix_and_tcp_clients_are_served_side_by_side() {
    let folder = Scratch::for_sockets();
    let path = folder.path().join("socket");
    let port = free_port().to_string();
    let mut command = Command::new(program());
    command.args(["--bind", "127.0.0.1", "--port", &port, "--unixsocket"]);
    let mut server = Process::start(command.arg(&path));
    let list = format!(" answers on 127.0.0.1:{port} and {} with ", path.display());
    server.expect(&list);
    server.expect(&format!("try: redis-cli -p {port} PING\n"));
    let addr = format!("127.0.0.1:{port}").parse().expect("an address");
    let (mut unix, mut tcp) = (Peer::connect_to_file(&path), Peer::connect(addr));
    let info = tcp.answer("INFO server");
    assert!(info.contains(&format!(
        "\r\nlistener1:name=unix,bind={}\r\n",
        path.display()
    )));
    assert!(info.contains(&format!("\r\ntcp_port:{port}\r\n")));
    tcp.ask(
        "SUBSCRIBE news\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n",
    );
    unix.ask("PUBLISH news x\r\n", ":1\r\n");
    tcp.expect("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n");
    server.signal("TERM");
    server.ended(PATIENCE).without_complaint();
    assert!(!path.exists());
}

#[test]
fn unix_clients_are_local_and_have_no_ip_address() {
    let server = OnFile::start(&[
        "--maxclients-per-address",
        "1",
        "--enable-debug-command",
        "local",
    ]);
    let mut peers: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.ask("DEBUG SLEEP 0\r\n", "+OK\r\n");
    }
    server.stop();
}

#[test]
fn maxclients_counts_unix_clients() {
    let server = OnFile::start(&["--maxclients", "1"]);
    let mut first = server.connect();
    first.ping();
    let mut second = server.connect();
    second.expect("-ERR max number of clients reached\r\n");
    second.expect_end();
    first.ping();
    server.stop();
}

#[test]
fn file_of_a_killed_server_is_replaced() {
    let server = OnFile::start(&[]);
    server.process.signal("KILL");
    eventually("it is gone", || UnixStream::connect(&server.path).is_err());
    assert!(server.path.exists());
    let mut next = listening(&server.path, &[]);
    server.connect().ping();
    next.signal("TERM");
    next.expect("stopped: every reply was sent");
    next.ended(PATIENCE).without_complaint();
    assert!(!server.path.exists());
}

#[test]
fn running_server_keeps_its_file() {
    let server = OnFile::start(&[]);
    let mut peer = server.connect();
    let path = server.path.display();
    refused(&server.path, &[]).assert_mistake(&[
        &format!("respool: cannot listen on {path}: "),
        "(another server uses it; stop that one, or choose another `unixsocket`)",
    ]);
    peer.ping();
    server.connect().ping();
    // A port may be in use as well.
    let checked = refused(&server.path, &["--check-config"]).without_complaint();
    assert_eq!(checked, "respool: the command line is fine\n");
    server.connect().ping();
    server.stop();
}

#[test]
fn file_that_is_not_a_socket_stays() {
    let folder = Scratch::for_sockets();
    let file = folder.file_in("file", "mine");
    for check in [&[][..], &["--check-config"]] {
        refused(&file, check).assert_mistake(&[
            &format!("respool: cannot listen on {}: ", file.display()),
            "there is a file that is not a socket (move it away, or choose another `unixsocket`)",
        ]);
        assert_eq!(fs::read(&file).expect("it stays"), b"mine");
    }
}

#[test]
fn folder_that_is_missing_is_named() {
    let path = Path::new("/no-such-folder/socket");
    for check in [&[][..], &["--check-config"]] {
        refused(path, check).assert_mistake(&[
            "respool: cannot listen on /no-such-folder/socket: No such file or directory",
            "(make its folder, or choose another `unixsocket`)",
        ]);
    }
}

#[test]
fn check_config_makes_no_file() {
    let folder = Scratch::for_sockets();
    let path = folder.path().join("socket");
    refused(&path, &["--check-config"]).without_complaint();
    // A stale file is not removed either.
    drop(UnixListener::bind(&path).expect("nothing is there"));
    refused(&path, &["--check-config"]).without_complaint();
    let names = fs::read_dir(folder.path()).expect("a folder");
    let names: Vec<_> = names.map(|entry| entry.expect("a file").path()).collect();
    assert_eq!(names, [path]);
}

#[test]
fn file_of_the_next_server_survives_the_end_of_the_first() {
    let first = OnFile::start(&[]);
    let mut peer = first.connect();
    peer.ping();
    fs::remove_file(&first.path).expect("it listens");
    let next = listening(&first.path, &[]);
    first.process.signal("TERM");
    first.process.ended(PATIENCE).without_complaint();
    Peer::connect_to_file(&first.path).ping();
    next.signal("TERM");
    next.ended(PATIENCE).without_complaint();
    assert!(!first.path.exists());
}

#[test]
fn sigterm_under_load_over_a_unix_socket_cuts_no_reply() {
    let server = OnFile::start(&["--workers", "2"]);
    let load = Load::over(|| server.connect().socket.into());
    server.process.signal("TERM");
    let ended = server.process.ended(PATIENCE);
    let received = load.ended();
    let log = ended.without_complaint();
    assert!(
        received.iter().all(|one| !one.cut_short),
        "{received:#?}\n{log}"
    );
    assert!(!server.path.exists());
}

#[test]
fn port_0_beside_a_unix_socket_is_explained() {
    for check in [&[][..], &["--check-config"]] {
        let mut command = Command::new(program());
        command.args(["--port", "0", "--unixsocket", "socket"]);
        let ended = Process::start(command.args(check)).ended(PATIENCE);
        ended.assert_mistake(&[
            "respool: `port`: 0 means any free port, not off as in redis.conf; beside \
             `unixsocket`, write `bind = []` for no TCP, or choose a port",
        ]);
    }
    assert!(!Path::new("socket").exists());
}

#[test]
fn nothing_to_listen_on_is_explained() {
    let file = Scratch::file("bind = []\n");
    for args in [&["--bind", ""][..], &["--bind="], &[file.arg()]] {
        for check in [&[][..], &["--check-config"]] {
            let mut command = Command::new(program());
            let ended = Process::start(command.args(args).args(check)).ended(PATIENCE);
            ended.assert_mistake(&["respool: there is nothing to listen on: set `bind`, "]);
        }
    }
}

#[test]
fn rewritten_file_has_no_address_and_the_socket() {
    let folder = Scratch::for_sockets();
    let (path, file) = (folder.path().join("socket"), folder.path().join("toml"));
    fs::write(&file, "bind = \"*\"\n").expect("a new file");
    let file = file.to_str().expect("a short name");
    // FILE goes before the flags with lists.
    let mut command = Command::new(program());
    command.args([file, "--bind", "", "--unixsocket"]);
    command.arg(&path).args(["--unixsocketperm", "700"]);
    let mut server = Process::start(&mut command);
    server.expect(" answers on ");
    let mut peer = Peer::connect_to_file(&path);
    peer.ask("CONFIG REWRITE\r\n", "+OK\r\n");
    let text = fs::read_to_string(file).expect("a file");
    let added = "# Generated by CONFIG REWRITE\n";
    assert_eq!(
        text,
        format!(
            "bind = []\n{added}unixsocket = \"{}\"\nunixsocketperm = 700\n",
            path.display()
        )
    );
    server.signal("TERM");
    server.ended(PATIENCE).without_complaint();
    let mut again = Process::start(Command::new(program()).arg(file));
    again.expect(" answers on ");
    Peer::connect_to_file(&path).ping();

    // Its value can change by a restart only.
    fs::write(file, "bind = []\nunixsocket = \"/tmp/other\"\n").expect("a file");
    again.signal("HUP");
    again.expect("`unixsocket` cannot change while the server runs; restart it");
    again.signal("TERM");
    again.ended(PATIENCE);
}

#[cfg(target_os = "linux")]
#[test]
fn name_in_the_abstract_namespace_is_served_without_a_file() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("respool-test-{}", std::process::id());
    let shown = format!("@{name}");
    let mut command = on_file(Path::new(&shown), &[]);
    let mut server = Process::start(&mut command);
    server.expect(&format!(" answers on {shown} with "));
    server.expect(&format!(
        "try: echo PING | socat - ABSTRACT-CONNECT:{name}\n"
    ));
    let addr = SocketAddr::from_abstract_name(name).expect("a short name");
    let socket = UnixStream::connect_addr(&addr).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let line = Peer { socket }.answer("CLIENT INFO");
    assert!(
        line.contains(&format!(" addr={shown}:0 laddr={shown}:0 ")),
        "{line}"
    );
    refused(Path::new(&shown), &[]).assert_mistake(&["(another server uses it; stop that one"]);
    refused(Path::new(&shown), &["--unixsocketperm", "700"]).assert_mistake(&[
        "respool: `unixsocketperm`: a name in the abstract namespace has no permissions",
    ]);
    assert!(!Path::new(&shown).exists());
    server.signal("TERM");
    server.ended(PATIENCE).without_complaint();
}
