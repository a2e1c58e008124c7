//! Real clients over TLS and over a Unix socket.

use std::process::Command;

use crate::languages::{NODE, REDIS_PY, run_node, run_python};
use crate::redis_tools::{finishes_without_a_warning, interrupted};
use respool_testing::case::{Case, NotRun, Outcome, outlived};
use respool_testing::certificates::{Authority, Folder};
use respool_testing::process::{Process, Respool, with_default_signals};
use respool_testing::setup::{installed, version};
use respool_testing::target::program;
use respool_testing::{PATIENCE, Scratch, free_port};

/// A server with a plain port, a port for TLS and a Unix socket.
pub(crate) struct Stage {
    pub(crate) server: Respool,
    pub(crate) tls_port: u16,
    pub(crate) certificates: Folder,
    folder: Scratch,
}

impl Stage {
    pub(crate) fn start(workers: usize, flags: &[&str]) -> Self {
        let certificates = Authority::new("a CA").folder();
        let folder = Scratch::for_sockets();
        let tls_port = free_port();
        let mut command = Command::new(program());
        command
            .args(["--loglevel", "verbose", "--workers", &workers.to_string()])
            .args(["--port", &free_port().to_string()])
            .args(["--tls-port", &tls_port.to_string(), "--tls-cert-file"])
            .arg(certificates.server_certificate())
            .arg("--tls-key-file")
            .arg(certificates.server_key())
            .arg("--tls-ca-cert-file")
            .arg(certificates.ca())
            .args(["--unixsocketperm", "700", "--unixsocket"])
            .arg(folder.path().join("socket"))
            .args(flags);
        Self {
            server: Respool::run_beside_others(&mut command),
            tls_port,
            certificates,
            folder,
        }
    }

    fn socket(&self) -> String {
        self.folder.path().join("socket").display().to_string()
    }

    pub(crate) fn ca(&self) -> String {
        self.certificates.ca().display().to_string()
    }

    fn client_certificate(&self) -> [String; 2] {
        let certificates = &self.certificates;
        let pair = [certificates.client_certificate(), certificates.client_key()];
        pair.map(|file| file.display().to_string())
    }
}

/// A case on a [`Stage`] with these flags, with two workers and with one. After it the server must
/// answer, and must have logged no warning.
pub(crate) fn case(
    client: &'static str,
    version: &str,
    checks: impl Into<String>,
    flags: &'static [&'static str],
    run: impl Fn(&Stage) -> Outcome + Send + 'static,
) -> Case {
    Case::without_server(client, version, checks, move || {
        for workers in [2, 1] {
            let stage = Stage::start(workers, flags);
            run(&stage)?;
            outlived(stage.server);
        }
        Ok(())
    })
}

/// Returns the arguments with the server's address.
type Address = fn(&Stage) -> Vec<String>;

/// Returns the server's URL.
type Url = fn(&Stage) -> String;

/// Certificates of clients are not asked for, are asked for, and are required.
pub(crate) const ANONYMOUS: &[&str] = &["--tls-auth-clients", "no"];
const OPTIONAL: &[&str] = &["--tls-auth-clients", "optional"];
const REQUIRED: &[&str] = &["--tls-auth-clients", "yes"];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = redis_cli_cases();
    cases.extend(redis_benchmark_cases());
    for (version, pin, _) in REDIS_PY {
        cases.extend(redis_py_cases(version, pin));
    }
    for (client, version, name) in NODE {
        if !name.contains("glide") {
            cases.extend(node_cases(client, version, name));
        }
    }
    cases
}

fn redis_cli_cases() -> Vec<Case> {
    let cli = version("redis-cli", "--version");
    let cli = |does, flags, run: fn(&Stage) -> Outcome| case("redis-cli", &cli, does, flags, run);
    vec![
        cli("--tls --cacert: a session", ANONYMOUS, |stage| {
            redis_cli_session(&over_tls(stage))
        }),
        cli("--tls --insecure: a session", ANONYMOUS, |stage| {
            let port = stage.tls_port.to_string();
            redis_cli_session(&["-p", &port, "--tls", "--insecure"].map(str::to_owned))
        }),
        cli("--tls --cert: a session", REQUIRED, |stage| {
            redis_cli_session(&with_certificate(stage))
        }),
        cli("--tls --cert: a session, optional", OPTIONAL, |stage| {
            redis_cli_session(&with_certificate(stage))?;
            redis_cli_session(&over_tls(stage))
        }),
        cli(
            "--tls without the required --cert is refused",
            REQUIRED,
            |stage| {
                let ended = Process::start(&mut redis_cli(&over_tls(stage), &["PING"])?);
                let ended = ended.ended(PATIENCE);
                assert!(!ended.stdout.contains("PONG"), "{}", ended.stdout);
                Ok(())
            },
        ),
        cli("-s: a session over the Unix socket", ANONYMOUS, |stage| {
            redis_cli_session(&over_unix(stage))
        }),
    ]
}

fn over_tls(stage: &Stage) -> Vec<String> {
    let port = stage.tls_port.to_string();
    ["-p", &port, "--tls", "--cacert", &stage.ca()]
        .map(str::to_owned)
        .into()
}

fn with_certificate(stage: &Stage) -> Vec<String> {
    let [certificate, key] = stage.client_certificate();
    let mut args = over_tls(stage);
    args.extend(["--cert".to_owned(), certificate, "--key".to_owned(), key]);
    args
}

fn over_unix(stage: &Stage) -> Vec<String> {
    vec!["-s".to_owned(), stage.socket()]
}

/// Pings, pipes, prints what is published, and leaves by ^C.
fn redis_cli_session(address: &[String]) -> Outcome {
    let printed = |args: &[&str]| {
        let process = Process::start(&mut redis_cli(address, args)?);
        Ok(process.ended(PATIENCE).without_complaint())
    };
    assert_eq!(printed(&["PING"])?, "PONG\n");
    let pongs = printed(&["-r", "100", "-i", "0", "PING"])?;
    assert_eq!(pongs, "PONG\n".repeat(100));
    // More than one TLS record.
    let long = "x".repeat(100_000);
    assert_eq!(printed(&["ECHO", &long])?, long + "\n");

    let requests = "PING\r\nPING x\r\n*1\r\n$4\r\nPING\r\n";
    let mut pipe = redis_cli(address, &["--pipe"])?;
    let piped = Process::start_with_input(&mut pipe, requests).ended(PATIENCE);
    let piped = piped.without_complaint();
    assert!(piped.ends_with("errors: 0, replies: 3\n"), "{piped}");

    let mut subscriber = Process::start(&mut redis_cli(address, &["SUBSCRIBE", "news"])?);
    subscriber.expect("subscribe\nnews\n1\n");
    assert_eq!(printed(&["PUBLISH", "news", "hello"])?, "1\n");
    subscriber.expect("message\nnews\nhello\n");
    interrupted(subscriber);
    Ok(())
}

pub(crate) fn redis_cli(address: &[String], args: &[&str]) -> Result<Command, NotRun> {
    let mut command = with_default_signals(&installed("redis-cli")?);
    command.args(address).args(args);
    Ok(command)
}

fn redis_benchmark_cases() -> Vec<Case> {
    let benchmark = version("redis-benchmark", "--version");
    let over: [(&str, Address); 2] = [("--tls", over_tls), ("-s", over_unix)];
    let mut cases = Vec::new();
    for (way, address) in over {
        for pipeline in ["1", "16"] {
            let does = format!("{way} -P {pipeline} finishes without a warning");
            let run =
                move |stage: &Stage| finishes_without_a_warning(&["-P", pipeline], &address(stage));
            cases.push(case("redis-benchmark", &benchmark, does, ANONYMOUS, run));
        }
    }
    cases
}

const SESSION: &str = "pings, publishes and gets the message";

fn redis_py_cases(version: &'static str, pin: &'static str) -> Vec<Case> {
    let urls: [(&str, Url); 3] = [
        ("rediss://", rediss_of_python),
        ("rediss:// with a certificate", rediss_with_certificate),
        ("unix://", |stage| format!("unix://{}", stage.socket())),
    ];
    // redis-py 3.5.3 has no asyncio.
    let ways: &[&str] = match version {
        "3.5.3" => &["url"],
        _ => &["url", "url+asyncio"],
    };
    let mut cases = Vec::new();
    for way in ways {
        for (scheme, url) in urls {
            let does = format!("{scheme} {SESSION} ({way})");
            let run =
                move |stage: &Stage| run_python(&["redis-py", version, way, &url(stage)], &[pin]);
            cases.push(case("redis-py", version, does, OPTIONAL, run));
        }
    }
    cases
}

fn rediss_of_python(stage: &Stage) -> String {
    let (port, ca) = (stage.tls_port, stage.ca());
    format!("rediss://localhost:{port}?ssl_ca_certs={ca}")
}

fn rediss_with_certificate(stage: &Stage) -> String {
    let [certificate, key] = stage.client_certificate();
    let url = rediss_of_python(stage);
    format!("{url}&ssl_certfile={certificate}&ssl_keyfile={key}")
}

fn node_cases(client: &'static str, version: &'static str, name: &'static str) -> [Case; 2] {
    let urls: [(&str, Url); 2] = [
        ("TLS", |stage| {
            let (port, ca) = (stage.tls_port, stage.ca());
            format!("rediss://localhost:{port}?ca={ca}")
        }),
        ("a Unix socket", |stage| format!("unix:{}", stage.socket())),
    ];
    urls.map(|(over, url)| {
        let does = format!("over {over} {SESSION}, and the process ends");
        let run = move |stage: &Stage| run_node(&[name, version, "url", &url(stage)]);
        case(client, version, does, ANONYMOUS, run)
    })
}
