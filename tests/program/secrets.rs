//! The password: its sources, and that no error, log line, reply or CONFIG REWRITE shows it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use respool_testing::process::{Ended, Process, Respool};
use respool_testing::scratch::make_fifo;
use respool_testing::target::program;
use respool_testing::{PATIENCE, Peer, Scratch, eventually};

/// A password; the tests also use longer ones that contain it.
const SECRET: &str = "hunter2";

#[test]
fn invalid_file_shows_no_password() {
    let folder = Scratch::folder();
    let file = folder.file_in("my.toml", "");
    let server = Respool::run(respool(&[]).arg(&file), PATIENCE);
    let mut peer = server.connect();
    for text in [
        "requirepas = \"hunter2\"",
        "requirepass = \"hunter2",
        "requirepass = hunter2\"",
        "requirepass = hunter2",
        "requirepass \"hunter2\"",
        "requirepass hunter2",
        "requirepass: \"hunter2\"",
        "requirepass = [\"hunter2\"]",
        "tls-key-file-pass = \"hunter2\"",
        "tls-key-file-pass = hunter2",
        "tls-key-file-pass hunter2",
        "requirepass = \"hunter2\" x",
        "requirepass = \"a\"\nrequirepass = \"hunter2\"",
        "port = 1 requirepass = \"hunter2\"",
        "password = \"hunter2\"",
        "hunter2 = \"requirepass\"",
        "requirepasshunter2 = 1",
        "bind = [\nrequirepass = \"hunter2\"",
        "loglevel = \"notice\nrequirepass = \"hunter2\"",
        "port = 70000 # was hunter2",
    ] {
        folder.file_in("my.toml", text);
        let ended = run(respool(&[]).arg(&file));
        ended.assert_safe_mistake(&format!("respool: {}:", file.display()));
        peer.send("CONFIG REWRITE\r\n");
        let reply = peer.line();
        assert!(reply.starts_with("-ERR Rewriting config file: "), "{reply}");
        assert!(!reply.contains(SECRET), "{text}: {reply}");
        let refusals = || server.log().matches("SIGHUP: nothing changed").count();
        let before = refusals();
        server.signal("HUP");
        eventually("the reload was refused", || refusals() > before);
    }
    assert!(!server.log().contains(SECRET), "{}", server.log());
}

#[test]
fn numeric_password_is_not_shown() {
    let folder = Scratch::folder();
    for number in ["7070707", "7.070707", "70707070707070707070"] {
        let file = folder.file_in("my.toml", &format!("requirepass = {number}\n"));
        let ended = run(respool(&[]).arg(file));
        let right = ":1:15: `requirepass`: expected text in quotes, as in `requirepass = \"...\"`";
        assert!(ended.stderr.contains(right), "{}", ended.stderr);
        assert!(!ended.stderr.contains("70707"), "{}", ended.stderr);
    }
}

#[test]
fn invalid_flags_show_no_password() {
    let long = SECRET.repeat(100);
    for args in [
        &["--requirepass", &long][..],
        &[&format!("--requirepass={long}")],
        &["--requirepas", SECRET],
        &["--requirepas=hunter2"],
        &["--requirepass", "--hunter2"],
        &["--requirepass", "--hunter2", "--port", "7"],
        &["--requirepass", "my", SECRET],
        &["--requirepass", "my", "own", SECRET],
        &["--requirepass=my", SECRET],
        &["-requirepass", SECRET],
        &["-requirepass=hunter2"],
        &["--hunter2"],
        &["requirepass", SECRET],
        &["requirepass=hunter2"],
        &["requirepas:hunter2"],
        &["--requirepasshunter2"],
        &["--requirepass-filehunter2"],
        &["--tls-key-file-pass", SECRET],
        &["--tls-key-file-pass=hunter2"],
        &["--tls-client-key-file-pass", "my", SECRET],
        &["-a", SECRET],
        &["--pass", SECRET],
        &["--port", "7", SECRET, SECRET],
    ] {
        run(&mut respool(args)).assert_safe_mistake("");
    }
}

#[test]
fn password_file_is_read_at_start_and_on_sighup() {
    let folder = Scratch::folder();
    for (text, password) in [
        ("hunter2", SECRET),
        ("hunter2\n", SECRET),
        ("hunter2\r\n", SECRET),
        (" hunter2 \n", "\" hunter2 \""),
        ("hunter2\n\n", "\"hunter2\\n\""),
    ] {
        let secret = folder.file_in("secret", text);
        let file = folder.file_in(
            "my.toml",
            &format!("requirepass-file = \"{}\"\n", secret.display()),
        );
        for mut command in [
            respool_with(&[&file]),
            respool_with(&[Path::new("--requirepass-file"), &secret]),
        ] {
            let server = Respool::run(&mut command, PATIENCE);
            assert_password(&server, password);
            let mut peer = server.connect();
            peer.send(format!(
                "AUTH {password}\r\nCONFIG GET requirepass-file\r\n"
            ));
            peer.expect("+OK\r\n*2\r\n$16\r\nrequirepass-file\r\n");
            peer.line();
            assert_eq!(peer.line(), secret.display().to_string());

            folder.file_in("secret", "another\n");
            server.signal("HUP");
            eventually("the new password", || ask(&server, "AUTH another") == "+OK");
            eventually("the change in the log", || {
                let change = "`requirepass` changed from (redacted) to (redacted)";
                server.log().contains(change)
            });
            assert!(!server.log().contains("hunter2"), "{}", server.log());
            folder.file_in("secret", text);
        }
    }
}

#[test]
fn password_sources_have_an_order() {
    let folder = Scratch::folder();
    folder.file_in("credentials/requirepass", "of-systemd\n");
    let secret = folder.file_in("secret", "of-a-flag-file\n");
    let file = folder.file_in("my.toml", "requirepass = \"of-the-file\"\n");
    let in_file = folder.file_in(
        "other.toml",
        "requirepass-file = \"credentials/requirepass\"\n",
    );
    let flag_file = ["--requirepass-file", secret.to_str().unwrap()];
    let flag = ["--requirepass", "of-a-flag"];
    for (flags, variable, has_credential, file, password) in [
        (&flag[..], true, true, &file, "of-a-flag"),
        (&flag_file, true, true, &file, "of-a-flag-file"),
        (&[], true, true, &file, "of-the-environment"),
        (&[], false, true, &file, "of-systemd"),
        (&[], false, false, &file, "of-the-file"),
        (&[], false, false, &in_file, "of-systemd"),
        (&[], true, false, &in_file, "of-the-environment"),
        (&["--requirepass", ""], true, true, &file, ""),
    ] {
        let mut command = respool(&[]);
        command.arg(file).args(flags).current_dir(folder.path());
        if variable {
            command.env("RESPOOL_REQUIREPASS", "of-the-environment");
        }
        if has_credential {
            command.env("CREDENTIALS_DIRECTORY", folder.path().join("credentials"));
        }
        let server = Respool::run(&mut command, PATIENCE);
        if password.is_empty() {
            server.connect().ping();
        } else {
            assert_password(&server, password);
        }
    }
    // A folder of credentials without this one is fine.
    let mut command = respool(&[]);
    let server = command.env("CREDENTIALS_DIRECTORY", folder.path());
    Respool::run(server, PATIENCE).connect().ping();
}

#[test]
fn unreadable_credential_names_its_folder() {
    let folder = Scratch::folder();
    let no_folder = folder.file_in("no-folder", "");
    let mut command = respool(&[]);
    command.env("CREDENTIALS_DIRECTORY", &no_folder);
    run(&mut command).assert_safe_mistake(&format!(
        "respool: `CREDENTIALS_DIRECTORY`: {}/requirepass: cannot read it: Not a directory",
        no_folder.display()
    ));
}

#[test]
fn unusable_password_source_is_an_error() {
    let folder = Scratch::folder();
    let empty = folder.file_in("empty", "\n");
    let long = folder.file_in("long", &"x".repeat(513));
    let huge = folder.file_in("huge", &"x".repeat(100_000));
    let fifo = folder.path().join("fifo");
    make_fifo(&fifo);
    let missing = folder.path().join("missing");
    for (path, problem) in [
        (&empty, "it is empty, expected a password of 1 to 512 bytes"),
        (&long, "the password has 513 bytes, expected at most 512"),
        (&huge, "cannot read it: longer than 4096 bytes"),
        (&fifo, "cannot read it: not a regular file"),
        (&missing, "cannot read it: No such file"),
        (&folder.path().to_owned(), "cannot read it: Is a directory"),
    ] {
        let args = [Path::new("--requirepass-file"), path];
        let origin = format!("respool: `requirepass-file`: {}: ", path.display());
        run(&mut respool_with(&args)).assert_safe_mistake(&format!("{origin}{problem}"));
    }
    // The password was given to the wrong key.
    let problem = "respool: `requirepass-file`: cannot read it: No such file";
    run(&mut respool(&["--requirepass-file", SECRET])).assert_safe_mistake(problem);
    let wrong = folder.file_in("wrong.toml", "requirepass-file = \"hunter2\"\n");
    run(&mut respool_with(&[&wrong])).assert_safe_mistake(problem);
    for value in ["", &"x".repeat(513)] {
        let mut command = respool(&[]);
        run(command.env("RESPOOL_REQUIREPASS", value))
            .assert_safe_mistake("respool: RESPOOL_REQUIREPASS: ");
    }
    let both = "`requirepass` and `requirepass-file` are both set: keep one";
    let path = long.to_str().unwrap();
    let flags = ["--requirepass", SECRET, "--requirepass-file", path];
    run(&mut respool(&flags)).assert_safe_mistake(&format!("respool: the command line: {both}"));
    let file = folder.file_in(
        "my.toml",
        "requirepass = \"hunter2\"\nrequirepass-file = \"x\"\n",
    );
    let mistake = format!("respool: {}: {both}", file.display());
    run(&mut respool_with(&[&file])).assert_safe_mistake(&mistake);
}

#[test]
fn rewrite_writes_no_password_from_elsewhere() {
    let folder = Scratch::folder();
    let secret = folder.file_in("secret", "hunter2\n");
    folder.file_in("credentials/requirepass", SECRET);
    let credentials = folder.path().join("credentials");
    let says_file = format!("requirepass-file = \"{}\"\n", secret.display());
    let flag_file = ["--requirepass-file", secret.to_str().unwrap()];
    let flag = ["--requirepass", SECRET];
    let credentials = credentials.to_str().unwrap();
    let variable = ("RESPOOL_REQUIREPASS", SECRET);
    let credential = ("CREDENTIALS_DIRECTORY", credentials);
    // The text of FILE, the arguments and an environment variable.
    for (text, args, variable) in [
        ("", &flag[..], None),
        ("", &flag_file, None),
        ("", &[], Some(variable)),
        ("", &[], Some(credential)),
        (&says_file, &[], None),
        ("requirepass = \"old\"\n", &flag_file, None),
    ] {
        let file = folder.file_in("my.toml", text);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let mut command = respool_with(&[&file]);
        command.args(args).envs(variable);
        let server = Respool::run(&mut command, PATIENCE);
        let mut peer = server.connect();
        peer.ask(
            "AUTH hunter2\r\nCONFIG SET timeout 77\r\n",
            "+OK\r\n+OK\r\n",
        );
        peer.ask("CONFIG REWRITE\r\n", "+OK\r\n");
        let now = fs::read_to_string(&file).unwrap();
        assert!(now.contains("timeout = 77\n"), "{now}");
        assert!(now.starts_with(text) && !now.contains(SECRET), "{now}");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        // Nor after a reload.
        server.signal("HUP");
        eventually("the reload", || server.log().contains("SIGHUP: "));
        peer.ask(
            "CONFIG SET timeout 78\r\nCONFIG REWRITE\r\n",
            "+OK\r\n+OK\r\n",
        );
        let now = fs::read_to_string(&file).unwrap();
        assert!(now.contains("timeout = 78\n"), "{now}");
        assert!(!now.contains(SECRET), "{now}");
        assert_password(&server, SECRET);
        eventually("the line of the log", || {
            server.log().contains("the password was not written")
        });
        assert!(!server.log().contains(SECRET), "{}", server.log());
    }
}

#[test]
fn password_set_at_runtime_replaces_the_file() {
    let folder = Scratch::folder();
    let secret = folder.file_in("secret", "hunter2\n");
    let says_file = format!("requirepass-file = \"{}\"\n", secret.display());
    let file = folder.file_in("my.toml", &says_file);
    let server = Respool::run(&mut respool_with(&[&file]), PATIENCE);
    let mut peer = server.connect();
    peer.ask("AUTH hunter2\r\n", "+OK\r\n");
    let immutable = "-ERR CONFIG SET failed (possibly related to argument 'requirepass-file') - \
                     can't set immutable config\r\n";
    peer.ask("CONFIG SET requirepass-file /etc/passwd\r\n", immutable);
    peer.ask("CONFIG SET requirepass other\r\n", "+OK\r\n");
    peer.ask(
        "CONFIG GET requirepass-file\r\n",
        "*2\r\n$16\r\nrequirepass-file\r\n$0\r\n\r\n",
    );
    peer.ask("CONFIG REWRITE\r\n", "+OK\r\n");
    drop(server);
    let again = Respool::run(&mut respool_with(&[&file]), PATIENCE);
    assert_password(&again, "other");
}

#[test]
fn sighup_without_a_file_keeps_a_set_password() {
    let folder = Scratch::folder();
    let secret = folder.file_in("secret", "hunter2\n");
    let flags = ["--requirepass-file", secret.to_str().unwrap()];
    let server = Respool::run(&mut respool(&flags), PATIENCE);
    let mut peer = server.connect();
    peer.ask(
        "AUTH hunter2\r\nCONFIG SET timeout 77\r\n",
        "+OK\r\n+OK\r\n",
    );
    folder.file_in("secret", "another\n");
    server.signal("HUP");
    eventually("the new password", || ask(&server, "AUTH another") == "+OK");
    peer.ask(
        "CONFIG GET timeout\r\n",
        "*2\r\n$7\r\ntimeout\r\n$2\r\n77\r\n",
    );
    peer.ask("CONFIG SET requirepass third\r\n", "+OK\r\n");
    let reloads = || server.log().matches("there is no FILE to read").count();
    eventually("the first reload", || reloads() == 1);
    server.signal("HUP");
    eventually("the second reload", || reloads() == 2);
    assert_password(&server, "third");
}

#[test]
fn password_readable_by_others_is_warned_about() {
    let folder = Scratch::folder();
    let secret = folder.file_in("secret", "hunter2\n");
    let file = folder.file_in("my.toml", "requirepass = \"hunter2\"\n");
    let says_file = folder.file_in(
        "other.toml",
        &format!("requirepass-file = \"{}\"\n", secret.display()),
    );
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let warning = |path: &Path| {
        format!(
            "{} holds a password, and every user of this machine can read it (mode 644)",
            path.display()
        )
    };
    // The file that is read, and the one that holds the password.
    for (read, holder) in [(&file, &file), (&says_file, &secret)] {
        mode(holder, 0o640);
        let server = Respool::run(&mut respool_with(&[read]), PATIENCE);
        assert!(!server.log().contains("holds a password"));
        mode(holder, 0o644);
        server.signal("HUP");
        eventually("the warning", || server.log().contains(&warning(holder)));
        drop(server);
        let server = Respool::run(&mut respool_with(&[read]), PATIENCE);
        assert!(server.log().contains(&warning(holder)), "{}", server.log());
        let before = server.log().matches("holds a password").count();
        let mut peer = server.connect();
        peer.ask("AUTH hunter2\r\nCONFIG REWRITE\r\n", "+OK\r\n+OK\r\n");
        if read == holder {
            eventually("one more", || {
                server.log().matches("holds a password").count() > before
            });
        }
    }
    // A file without a password is not warned about.
    let harmless = folder.file_in("harmless.toml", "timeout = 1\n");
    mode(&harmless, 0o644);
    let server = Respool::run(&mut respool_with(&[&harmless]), PATIENCE);
    assert!(!server.log().contains("holds a password"));
    // Until CONFIG REWRITE writes one into it.
    let mut peer = server.connect();
    peer.ask(
        "CONFIG SET requirepass hunter2\r\nCONFIG REWRITE\r\n",
        "+OK\r\n+OK\r\n",
    );
    eventually("the warning of the rewrite", || {
        server.log().contains(&warning(&harmless))
    });
    assert_eq!(fs::metadata(&harmless).unwrap().mode() & 0o777, 0o644);
}

#[test]
fn password_in_arguments_is_warned_about() {
    let warning = "`--requirepass`: every user of this machine can see the password in `ps`; use `--requirepass-file` instead";
    let server = Respool::run(&mut respool(&["--requirepass", SECRET]), PATIENCE);
    assert!(server.log().contains(warning), "{}", server.log());
    assert!(!server.log().contains(SECRET), "{}", server.log());
    drop(server);
    let server = Respool::run(&mut respool(&["--requirepass", ""]), PATIENCE);
    assert!(!server.log().contains("`ps`"), "{}", server.log());
}

#[test]
fn file_that_is_not_regular_is_refused_at_once() {
    let folder = Scratch::folder();
    let fifo = folder.path().join("fifo");
    make_fifo(&fifo);
    for path in [&fifo, Path::new("/dev/null"), Path::new("/dev/zero")] {
        run(&mut respool_with(&[path])).assert_safe_mistake(&format!(
            "respool: cannot read {}: not a regular file",
            path.display()
        ));
    }
}

/// Returns the program with these arguments and no source of a password in its environment.
fn respool(args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .args(args)
        .env_remove("RESPOOL_REQUIREPASS")
        .env_remove("CREDENTIALS_DIRECTORY");
    command
}

fn respool_with(args: &[&Path]) -> Command {
    let mut command = respool(&[]);
    command.args(args);
    command
}

/// Runs a program until it ends by itself.
#[track_caller]
fn run(command: &mut Command) -> Ended {
    Process::start(command).ended(PATIENCE)
}

trait SafeMistake {
    fn assert_safe_mistake(&self, beginning: &str);
}

impl SafeMistake for Ended {
    /// Expects that the program refused to start with this message, which shows no password.
    #[track_caller]
    fn assert_safe_mistake(&self, beginning: &str) {
        self.assert_mistake(&[]);
        assert!(self.stderr.starts_with(beginning), "{}", self.stderr);
        assert!(!self.stderr.contains(SECRET), "{}", self.stderr);
    }
}

/// Returns the reply to one request of a new client.
fn ask(server: &Respool, request: &str) -> String {
    let mut peer: Peer = server.connect();
    peer.send(format!("{request}\r\n"));
    peer.line()
}

#[track_caller]
fn assert_password(server: &Respool, password: &str) {
    assert_eq!(ask(server, "PING"), "-NOAUTH Authentication required.");
    assert_eq!(ask(server, &format!("AUTH {password}")), "+OK");
}
