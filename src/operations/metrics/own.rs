//! The metrics of respool's own.

use super::scrape::Scrape;
use super::text::{Kind, Text};
use crate::net::kernel_counts;
use crate::state::ServerState;

pub(super) fn write(scrape: &Scrape<'_>, text: &mut Text) {
    workers(scrape, text);
    queue_wait(scrape, text);
    command_durations(scrape, text);
    closes(scrape.state, text);
    accept_queues(scrape, text);
    health(scrape, text);
    #[cfg(feature = "tls")]
    handshakes(scrape.state, text);
}

fn workers(scrape: &Scrape<'_>, text: &mut Text) {
    let pool = scrape.state.pool_snapshot();
    let leading = usize::from(pool.has_leader);
    let waiting = pool.followers + leading;
    let name = "respool_workers";
    text.family(
        name,
        Kind::Gauge,
        "Workers that serve a client, that wait for one, and that watch the idle clients.",
    );
    for (state, count) in [
        ("busy", scrape.settings.workers.saturating_sub(waiting)),
        ("following", pool.followers),
        ("leading", leading),
    ] {
        text.sample(name, &[("state", state)], count);
    }
    text.gauge(
        "respool_queue_length",
        "Clients that wait for a worker.",
        pool.queued,
    );
}

fn queue_wait(scrape: &Scrape<'_>, text: &mut Text) {
    let name = "respool_queue_wait_seconds";
    let help = "Time for which a client that was ready waited for a worker, once for each turn.";
    text.family(name, Kind::Histogram, help);
    scrape.queue_wait.write(name, &[], text);
}

fn command_durations(scrape: &Scrape<'_>, text: &mut Text) {
    let name = "respool_command_duration_seconds";
    let help = "Time that the handler took, scaled up if only some calls were timed.";
    text.family(name, Kind::Histogram, help);
    for (command, _) in scrape.state.used_commands(scrape.totals) {
        if let Some(shown) = scrape.durations.of(command) {
            shown.write(name, &[("cmd", command)], text);
        }
    }
}

fn closes(state: &ServerState, text: &mut Text) {
    let name = "respool_closes_total";
    let help = "Closed connections by reason, as closed_* in INFO.";
    text.family(name, Kind::Counter, help);
    for (reason, count) in state.closes.all() {
        text.sample(name, &[("reason", reason)], count);
    }
}

fn accept_queues(scrape: &Scrape<'_>, text: &mut Text) {
    let control = scrape.state.control();
    let queues = control.map_or_else(Vec::new, |control| control.accept_queues());
    let queues: Vec<_> = queues
        .into_iter()
        .map(|(addr, queue)| (addr.to_string(), queue))
        .collect();
    let name = "respool_accept_queue_length";
    let help = "Connections that nobody has accepted yet, of each listening TCP socket.";
    text.family(name, Kind::Gauge, help);
    for (addr, queue) in &queues {
        text.sample(name, &[("listener", addr)], queue.length);
    }
    let name = "respool_accept_queue_limit";
    let help = "Length above which the kernel drops new connections: `tcp-backlog`, or less.";
    text.family(name, Kind::Gauge, help);
    for (addr, queue) in &queues {
        text.sample(name, &[("listener", addr)], queue.limit);
    }
    if let Some(counts) = kernel_counts::listen_counts() {
        text.counter(
            "respool_listen_overflows_total",
            "Times that an accept queue was full: of all sockets of the network namespace.",
            counts.overflows,
        );
        text.counter(
            "respool_listen_drops_total",
            "New connections that the kernel dropped: of all sockets of the network namespace.",
            counts.drops,
        );
    }
}

fn health(scrape: &Scrape<'_>, text: &mut Text) {
    let Some(control) = scrape.state.control() else {
        return;
    };
    let health = control.health();
    for (name, help, state) in [
        ("respool_live", "Whether /livez answers 200.", health.live),
        (
            "respool_ready",
            "Whether /readyz answers 200.",
            health.ready,
        ),
    ] {
        text.gauge(name, help, u8::from(state.is_ok()));
    }
}

#[cfg(feature = "tls")]
fn handshakes(state: &ServerState, text: &mut Text) {
    let handshakes = &state.handshakes;
    text.counter(
        "respool_tls_handshakes_total",
        "TLS handshakes that ended well.",
        handshakes.done.get(),
    );
    text.counter(
        "respool_tls_handshake_failures_total",
        "TLS handshakes that began and did not end well.",
        handshakes.failed.get(),
    );
    text.gauge(
        "respool_tls_handshakes_waiting",
        "Clients that wait to go on with their TLS handshake.",
        handshakes.waiting(),
    );
}
