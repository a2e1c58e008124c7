//! The keys of TLS: errors of a start, CONFIG SET, SIGHUP and changed files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use respool_testing::certificates::{Authority, Folder};
use respool_testing::process::Respool;
use respool_testing::{Scratch, eventually, free_port};

use crate::{config, respool, run, value};

/// Returns the flags for the files of `folder`.
fn flags(folder: &Folder) -> Vec<String> {
    [
        ("--tls-cert-file", folder.server_certificate()),
        ("--tls-key-file", folder.server_key()),
        ("--tls-ca-cert-file", folder.ca()),
    ]
    .into_iter()
    .flat_map(|(flag, file)| [flag.to_owned(), file.to_str().unwrap().to_owned()])
    .collect()
}

/// Starts a server with the files of `folder` and these further arguments.
fn start_with(folder: &Folder, args: &[&str]) -> Respool {
    let flags = flags(folder);
    let (server, _) = Respool::run_with_tls(|| {
        let mut command = respool(args);
        command.args(&flags);
        command
    });
    server
}

/// Expects that a start and `--check-config` with these flags fail with each of `parts`.
#[track_caller]
fn assert_refused(args: &[&str], parts: &[&str]) {
    for first in [&["--check-config"][..], &[]] {
        run(&[first, args].concat()).assert_mistake(parts);
    }
}

#[test]
fn tls_port_without_files_says_what_is_missing() {
    let port = free_port().to_string();
    let base = ["--bind", "127.0.0.1", "--tls-port", &port];
    let key = "respool: `tls-cert-file`: `tls-port` needs it: write the path of a file in PEM";
    assert_refused(&base, &[key, "`tls-port = 0`"]);
    let folder = Authority::new("the CA").folder();
    let flags = flags(&folder);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let without_ca = [&base[..], &flags[..4]].concat();
    assert_refused(
        &without_ca,
        &["`tls-auth-clients`: `yes` needs the CA of the clients' certificates: set "],
    );
    let no_clients = ["--tls-auth-clients", "no"];
    let check = [&["--check-config"], &without_ca[..], &no_clients].concat();
    assert!(run(&check).status.success());
}

#[test]
fn unusable_certificate_is_explained_before_anything_listens() {
    let folder = Authority::new("the CA").folder();
    folder.scratch().file_in("server.key", "nothing");
    let flags = flags(&folder);
    let mut args: Vec<_> = flags.iter().map(String::as_str).collect();
    let port = free_port().to_string();
    args.extend(["--bind", "127.0.0.1", "--tls-port", &port]);
    assert_refused(
        &args,
        &["respool: `tls-key-file`: ", "server.key has no private key"],
    );
}

#[test]
fn port_0_beside_a_tls_port_is_refused_with_what_to_write() {
    let folder = Authority::new("the CA").folder();
    let flags = flags(&folder);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let file = Scratch::file("port = 0\ntls-port = 6380\n");
    let args = [&[file.arg()], &flags[..]].concat();
    let parts = [
        "`port`: 0 means any free port, not off ",
        "`bind = []`",
        "`tls-bind`",
    ];
    assert_refused(&args, &parts);
    file.write("port = 6380\ntls-port = 6380\n");
    assert_refused(&args, &["`tls-port`: must differ from `port`"]);
}

#[test]
fn tls_only_is_written_with_no_plain_address() {
    let folder = Authority::new("the CA").folder();
    let flags = flags(&folder);
    let port = free_port();
    for (line, list) in [
        ("bind = []", format!("127.0.0.1:{port}")),
        (
            "bind = []\ntls-bind = \"127.0.0.1\"",
            format!("127.0.0.1:{port} with 1 worker;"),
        ),
    ] {
        let file = Scratch::file(&format!("workers = 1\n{line}\ntls-port = {port}\n"));
        let mut command = respool(&[file.arg()]);
        let mut process = respool_testing::process::Process::start_dialogue(command.args(&flags));
        let first = process.expect("PING\n");
        assert!(
            first.contains(&format!(" answers with TLS on {list}")),
            "{first}"
        );
        let ping = format!("; try: redis-cli --tls --cacert CA.pem -p {port} ");
        assert!(first.contains(&ping), "{first}");
    }
}

#[test]
fn info_names_the_listener_for_tls() {
    let folder = Authority::new("the CA").folder();
    let flags = flags(&folder);
    let (server, tls) = Respool::run_with_tls(|| {
        let mut command = respool(&["--tls-bind", "127.0.0.1 127.0.0.2"]);
        command.args(&flags);
        command
    });
    let info = server.connect().answer("INFO server");
    let (plain, tls) = (server.addr.port(), tls.port());
    let expected = format!(
        "\r\nlistener0:name=tcp,bind=127.0.0.1,port={plain}\r\n\
         listener1:name=tls,bind=127.0.0.1,bind=127.0.0.2,port={tls}\r\n"
    );
    assert!(info.contains(&expected), "{info}");
    server.stop();
}

#[test]
fn config_set_of_a_mismatched_pair_changes_nothing() {
    let folder = Authority::new("the CA").folder();
    let server = start_with(&folder, &[]);
    let client_key = folder.client_key();
    let reply = config(
        &server,
        &format!("SET tls-key-file {}", client_key.display()),
    );
    let start = format!(
        "-ERR CONFIG SET failed (possibly related to argument 'tls-key-file') - {} is not the key of \
         the first certificate in ",
        client_key.display()
    );
    assert!(reply.starts_with(&start), "{reply}");
    server.wait_for_log("[warning] CONFIG SET: certificates not changed: `tls-key-file`: ");
    let unchanged = folder.server_key();
    assert_eq!(value(&server, "tls-key-file"), unchanged.to_str().unwrap());
    // Other keys do not read the files.
    fs::remove_file(&unchanged).unwrap();
    assert_eq!(
        config(&server, "SET timeout 5 tls-handshake-timeout 5"),
        "+OK"
    );
    server.stop();
}

#[test]
fn config_set_changes_certificate_and_key_together() {
    let authority = Authority::new("the CA");
    let folder = authority.folder();
    let server = start_with(&folder, &[]);
    let other = authority.folder();
    let [certificate, key] = [other.server_certificate(), other.server_key()];
    let [certificate, key] = [certificate.display(), key.display()];
    let alone = config(&server, &format!("SET tls-cert-file {certificate}"));
    assert!(
        alone.contains("is not the key of the first certificate"),
        "{alone}"
    );
    let both = format!("SET tls-cert-file {certificate} tls-key-file {key}");
    assert_eq!(config(&server, &both), "+OK");
    server.wait_for_log(&format!("new clients get the one in {certificate}\n"));
    server.stop();
}

#[test]
fn config_set_of_the_same_value_loads_the_file_again() {
    let authority = Authority::new("the CA");
    let folder = authority.folder();
    let server = start_with(&folder, &[]);
    folder.write_server(&authority.server());
    let same = format!(
        "SET tls-cert-file {}",
        folder.server_certificate().display()
    );
    assert_eq!(config(&server, &same), "+OK");
    server.wait_for_log("certificates loaded: new clients get the one in ");
    folder.scratch().file_in("server.pem", "");
    let reply = config(&server, &same);
    assert!(
        reply.contains("server.pem has no certificate, expected PEM"),
        "{reply}"
    );
    server.stop();
}

#[test]
fn sighup_loads_changed_certificates_or_changes_nothing() {
    let authority = Authority::new("the CA");
    let folder = authority.folder();
    let file = Scratch::file("timeout = 5\n");
    let server = start_with(&folder, &[file.arg()]);
    folder
        .scratch()
        .file_in("server.key", &authority.server().key);
    file.write("timeout = 6\n");
    server.signal("HUP");
    server.wait_for_log("[warning] SIGHUP: nothing changed: `tls-key-file`: ");
    assert_eq!(value(&server, "timeout"), "5");
    folder.write_server(&authority.server());
    server.signal("HUP");
    server.wait_for_log("SIGHUP: applied ");
    server.wait_for_log("certificates loaded: ");
    assert_eq!(value(&server, "timeout"), "6");
    server.stop();
}

#[test]
fn sighup_without_a_file_loads_certificates() {
    let authority = Authority::new("the CA");
    let folder = authority.folder();
    let server = start_with(&folder, &[]);
    folder.write_server(&authority.server());
    server.signal("HUP");
    server.wait_for_log("SIGHUP: the certificates were loaded and the log was opened again");
    server.wait_for_log("certificates loaded: ");
    server.stop();
}

#[test]
fn key_readable_by_others_is_warned_about() {
    let folder = Authority::new("the CA").folder();
    let key = folder.server_key();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let server = start_with(&folder, &[]);
    let key = key.display();
    server.wait_for_log(&format!(
        "[warning] {key} holds a private key, and every user of this machine can read it (mode 644): \
         run `chmod o-r {key}`"
    ));
    server.stop();
}

#[test]
fn changed_files_are_loaded_by_themselves() {
    let authority = Authority::new("the CA");
    let folder = authority.folder();
    let server = start_with(&folder, &["--tls-auto-reload-interval", "1"]);
    let loads = || server.log().matches("certificates loaded: ").count();
    for count in 1..=2 {
        folder.write_server(&authority.server());
        eventually("the files are loaded", || loads() == count);
    }
    folder.scratch().file_in("server.key", "");
    server.wait_for_log(
        "[warning] the changed certificates cannot be used, the old ones stay: `tls-key-file`: ",
    );
    // Off, and nothing else stops it.
    assert_eq!(config(&server, "SET tls-auto-reload-interval 0"), "+OK");
    server.stop();
}
