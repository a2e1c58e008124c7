//! Health checks, and answers while the server does not serve.

use std::time::{Duration, Instant};

use respool::config::DebugAccess;
use respool::{Commands, Config};
use respool_testing::http::get;
use respool_testing::{commands_with_gate, config, eventually};

use crate::Operated;

#[test]
fn everything_is_answered_while_every_worker_sleeps() {
    let config = Config {
        enable_debug_command: DebugAccess::Yes,
        ..config(2)
    };
    let operated = Operated::with(config, Commands::builtin());
    let began = Instant::now();
    let mut sleepers = [(); 2].map(|()| operated.server.connect());
    for sleeper in &mut sleepers {
        sleeper.send("DEBUG SLEEP 5\r\n");
    }
    eventually("both workers sleep", || {
        let answer = get(operated.http, "/metrics");
        answer.sample::<u64>("respool_workers{state=\"busy\"}") == 2
    });
    let mut slowest = Duration::ZERO;
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/",
        "/page.css",
        "/page.js",
    ] {
        let start = Instant::now();
        assert_eq!(get(operated.http, path).status, 200, "{path}");
        slowest = slowest.max(start.elapsed());
    }
    println!("the slowest answer took {slowest:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "they still sleep");
    for mut sleeper in sleepers {
        sleeper.expect("+OK\r\n");
    }
}

#[test]
fn listener_answers_until_the_drain_is_over() {
    let (commands, gate) = commands_with_gate();
    let config = Config {
        drain_timeout_ms: 60_000,
        ..config(1)
    };
    let operated = Operated::with(config, commands);
    let _busy = gate.busy_client(operated.server.addr);
    operated.server.handle.drain();
    eventually("the server accepts no client", || {
        std::net::TcpStream::connect(operated.server.addr).is_err()
    });
    assert_eq!(get(operated.http, "/livez").status, 200);
    let ready = get(operated.http, "/readyz");
    assert_eq!((ready.status, &*ready.body), (503, "draining\n"));
    let metrics = get(operated.http, "/metrics");
    assert_eq!(metrics.sample::<u8>("respool_live"), 1);
    assert_eq!(metrics.sample::<u8>("respool_ready"), 0);
    gate.let_one_through();
    assert_eq!(operated.server.wait().aborted, 0);
    let after = std::net::TcpStream::connect(operated.http);
    assert!(after.is_err(), "{after:?}");
}

#[test]
fn server_in_its_drain_delay_is_not_ready() {
    let config = Config {
        drain_delay_ms: 60_000,
        ..config(1)
    };
    let operated = Operated::with(config, Commands::builtin());
    assert_eq!(get(operated.http, "/readyz").body, "ok\n");
    operated.server.handle.drain();
    eventually("it is not ready", || {
        get(operated.http, "/readyz").status == 503
    });
    assert_eq!(get(operated.http, "/livez").status, 200);
    operated.server.connect().ping();
    // Ends the delay.
    operated.server.handle.drain();
}

#[test]
fn server_with_stuck_workers_is_live_but_not_ready() {
    let (commands, gate) = commands_with_gate();
    let config = Config {
        stuck_worker_ms: 100,
        ..config(1)
    };
    let operated = Operated::with(config, commands);
    let mut stuck = gate.busy_client(operated.server.addr);
    eventually("it is not ready", || {
        get(operated.http, "/readyz").status == 503
    });
    let reason = get(operated.http, "/readyz").body;
    assert!(reason.contains("100 ms"), "{reason}");
    assert_eq!(get(operated.http, "/livez").body, "ok\n");
    gate.let_one_through();
    stuck.expect("+OPEN\r\n");
    eventually("it is ready", || {
        get(operated.http, "/readyz").status == 200
    });
}
