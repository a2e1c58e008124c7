//! Programs between client and server: `HAProxy`, nginx and stunnel, which end TLS, begin it, or
//! tell the client's address in a PROXY header.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use crate::infrastructure::Haproxy;
use crate::transports::{Stage, case, redis_cli};
use respool_testing::balancer::{session_through, stream_module};
use respool_testing::case::{Case, NotRun, Outcome};
use respool_testing::process::Process;
use respool_testing::setup::{installed, version};
use respool_testing::{PATIENCE, Scratch, eventually, free_port};

/// Connections from [`BALANCER`] begin with a PROXY header. Others have none.
const FLAGS: &[&str] = &[
    "--tls-auth-clients",
    "no",
    "--proxy-protocol-from",
    "127.0.0.3/32",
];

/// The address from which a balancer connects to the server.
const BALANCER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = haproxy_cases();
    cases.extend(nginx_cases());
    cases.extend(stunnel_cases());
    cases
}

/// Where a balancer listens.
fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Expects that redis-cli with TLS reaches the server through `port`, and that the server shows
/// the address in the balancer's header.
fn redis_cli_through(port: u16, ca: &str, is_told: bool) -> Outcome {
    let port = port.to_string();
    let address = ["-p", &port, "--tls", "--cacert", ca].map(str::to_owned);
    let mut ping = redis_cli(&address, &["PING"])?;
    // A connection that is closed before its handshake would be an error for stunnel.
    eventually("it listens", || {
        Process::start(&mut ping).ended(PATIENCE).stdout == "PONG\n"
    });
    let mut info = redis_cli(&address, &["CLIENT", "INFO"])?;
    let info = Process::start(&mut info)
        .ended(PATIENCE)
        .without_complaint();
    let is_from_balancer = info.contains(&format!(" addr={BALANCER}:"));
    assert_eq!(is_from_balancer, !is_told, "{info}");
    Ok(())
}

fn haproxy_cases() -> Vec<Case> {
    let haproxy = version("haproxy", "-v");
    let mut cases = Vec::new();
    for header in ["send-proxy", "send-proxy-v2"] {
        for (over, is_secure) in [("plain TCP", false), ("TLS", true)] {
            let does = format!("{header} over {over}: the client's address is shown");
            let run = move |stage: &Stage| haproxy_tells(stage, header, is_secure);
            cases.push(case("HAProxy", &haproxy, does, FLAGS, run));
            let does = format!("check-send-proxy with {header} over {over} sees it up 20 times");
            let run = move |stage: &Stage| haproxy_checks(stage, header, is_secure);
            cases.push(case("HAProxy", &haproxy, does, FLAGS, run));
        }
        let does = format!("{header} in front of the client's own TLS");
        let run = move |stage: &Stage| haproxy_passes_tls_on(stage, header);
        cases.push(case("HAProxy", &haproxy, does, FLAGS, run));
    }
    cases
}

/// Returns the line of the server in `HAProxy`'s configuration.
fn haproxy_server(stage: &Stage, header: &str, is_secure: bool) -> String {
    let addr = if is_secure {
        at(stage.tls_port)
    } else {
        stage.server.addr
    };
    let secure = if is_secure {
        format!("ssl verify required ca-file {}", stage.ca())
    } else {
        String::new()
    };
    format!("  server one {addr} {header} source {BALANCER} {secure}")
}

fn haproxy_tells(stage: &Stage, header: &str, is_secure: bool) -> Outcome {
    let port = free_port();
    let server = haproxy_server(stage, header, is_secure);
    let section = format!("listen respool\n  bind {}\n{server}\n", at(port));
    let haproxy = Haproxy::run(&section)?;
    session_through(at(port), true);
    haproxy.stop();
    Ok(())
}

fn haproxy_passes_tls_on(stage: &Stage, header: &str) -> Outcome {
    let port = free_port();
    let server = format!(
        "  server one {} {header} source {BALANCER}",
        at(stage.tls_port)
    );
    let section = format!("listen respool\n  bind {}\n{server}\n", at(port));
    let haproxy = Haproxy::run(&section)?;
    redis_cli_through(port, &stage.ca(), true)?;
    haproxy.stop();
    Ok(())
}

fn haproxy_checks(stage: &Stage, header: &str, is_secure: bool) -> Outcome {
    let server = haproxy_server(stage, header, is_secure);
    let check = "check check-send-proxy inter 100ms";
    let check_ssl = if is_secure { "check-ssl" } else { "" };
    let haproxy = Haproxy::run(&format!(
        "backend respool\n  option redis-check\n{server} {check} {check_ssl}\n"
    ))?;
    eventually("HAProxy has checked 20 times", || {
        stage.server.log().matches(" closed after ").count() >= 20
    });
    haproxy.has_always_seen_it_up();
    Ok(())
}

fn nginx_cases() -> Vec<Case> {
    let nginx = version("nginx", "-v");
    let nginx = |does, run: fn(&Stage) -> Outcome| case("nginx", &nginx, does, FLAGS, run);
    vec![
        nginx(
            "proxy_protocol and proxy_ssl on: the client's address is shown",
            |stage| {
                let port = free_port();
                let secure = format!(
                    "proxy_ssl on; proxy_ssl_verify on; proxy_ssl_name localhost;
                 proxy_ssl_trusted_certificate {};",
                    stage.ca()
                );
                let nginx = Nginx::start(port, at(stage.tls_port), &secure)?;
                session_through(at(port), true);
                nginx.stop();
                Ok(())
            },
        ),
        nginx(
            "proxy_protocol on in front of the client's own TLS",
            |stage| {
                let port = free_port();
                let nginx = Nginx::start(port, at(stage.tls_port), "")?;
                redis_cli_through(port, &stage.ca(), true)?;
                nginx.stop();
                Ok(())
            },
        ),
    ]
}

/// nginx with its stream module.
struct Nginx {
    process: Process,
    _folder: Scratch,
}

impl Nginx {
    /// Passes connections from `port` on to `server`, with a PROXY header and these settings.
    fn start(port: u16, server: SocketAddr, settings: &str) -> Result<Self, NotRun> {
        let nginx = installed("nginx")?;
        let module = stream_module()?;
        let folder = Scratch::for_sockets();
        let text = format!(
            "load_module {module};
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 64; }}
stream {{
  server {{
    listen {listen};
    proxy_pass {server};
    proxy_bind {BALANCER};
    proxy_protocol on;
    {settings}
  }}
}}
",
            module = module.display(),
            folder = folder.path().display(),
            listen = at(port),
        );
        let file = folder.file_in("nginx.conf", &text);
        let mut command = Command::new(nginx);
        // Until it has read the file, it would log where Debian wants it.
        command.args(["-e", "stderr", "-c"]).arg(file);
        Ok(Self {
            process: Process::start(&mut command),
            _folder: folder,
        })
    }

    /// Expects that it has printed nothing.
    fn stop(self) {
        self.process.signal("QUIT");
        let printed = self.process.ended(PATIENCE).without_complaint();
        assert_eq!(printed, "");
    }
}

fn stunnel_cases() -> Vec<Case> {
    let stunnel = version("stunnel", "-version");
    let stunnel = |does, run: fn(&Stage) -> Outcome| case("stunnel", &stunnel, does, FLAGS, run);
    vec![
        stunnel("as the client's TLS", |stage| {
            let port = free_port();
            let connect = at(stage.tls_port);
            let secure = "client = yes\nverifyChain = yes\ncheckHost = localhost";
            let stunnel = Stunnel::start(stage, port, connect, secure)?;
            session_through(at(port), false);
            stunnel.stop();
            Ok(())
        }),
        stunnel("as the TLS of the plain port", |stage| {
            let port = free_port();
            let settings = server_settings(stage);
            let stunnel = Stunnel::start(stage, port, stage.server.addr, &settings)?;
            redis_cli_through(port, &stage.ca(), true)?;
            stunnel.stop();
            Ok(())
        }),
        stunnel(
            "as the TLS of the plain port, with `protocol = proxy`",
            |stage| {
                let port = free_port();
                let settings =
                    server_settings(stage) + &format!("\nprotocol = proxy\nlocal = {BALANCER}");
                let stunnel = Stunnel::start(stage, port, stage.server.addr, &settings)?;
                redis_cli_through(port, &stage.ca(), true)?;
                stunnel.stop();
                Ok(())
            },
        ),
    ]
}

fn server_settings(stage: &Stage) -> String {
    let certificates = &stage.certificates;
    format!(
        "cert = {}\nkey = {}",
        certificates.server_certificate().display(),
        certificates.server_key().display()
    )
}

struct Stunnel {
    process: Process,
    _folder: Scratch,
}

impl Stunnel {
    fn start(
        stage: &Stage,
        port: u16,
        connect: SocketAddr,
        settings: &str,
    ) -> Result<Self, NotRun> {
        let stunnel = installed("stunnel")?;
        let folder = Scratch::for_sockets();
        let (accept, ca) = (at(port), stage.ca());
        // It prints what is at least a warning.
        let text = format!(
            "foreground = yes\ndebug = warning\npid =\n[respool]\naccept = {accept}\n\
             connect = {connect}\nCAfile = {ca}\n{settings}\n"
        );
        let mut command = Command::new(stunnel);
        command.arg(folder.file_in("stunnel.conf", &text));
        Ok(Self {
            process: Process::start(&mut command),
            _folder: folder,
        })
    }

    /// Expects that it has printed nothing.
    fn stop(self) {
        self.process.signal("TERM");
        let printed = self.process.ended(PATIENCE).without_complaint();
        assert_eq!(printed, "");
    }
}
