//! The loads, in the order in which they run. Those with marks come first.

use std::time::Duration;

use crate::pings::Ping;

/// Work for each server.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Talk(Talk),
    /// This many idle connections that have each had one PONG.
    Idle(usize, Transport),
    /// From the start of the process to the first PONG.
    Start,
}

/// Clients that keep PINGs in flight: each sends a pipeline when the one before is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Talk {
    pub(crate) clients: usize,
    pub(crate) pipeline: usize,
    pub(crate) ping: Ping,
    pub(crate) manner: Manner,
    pub(crate) transport: Transport,
}

/// What carries the bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Unix,
    Tls,
}

/// What a server is started for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    pub(crate) ping: Ping,
    pub(crate) transport: Transport,
    pub(crate) workers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The connections stay open.
    Steady,
    /// Each request has a connection of its own, which the client closes after the reply.
    Connecting(Close),
    /// One more client has one PING in flight at a time. The latencies are those of this client.
    Hogging,
    /// Each client connects, has a TLS handshake, and closes the connection. One more client has
    /// one PING in flight at a time, as beside the hogs. A request is a handshake.
    Handshaking,
    /// Each client is subscribed to a channel. One more client publishes there, and sends the next
    /// pipeline when it has all replies and all clients have all messages. A request is a message
    /// for one client.
    Subscribing,
}

/// How a client ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    Fin,
    /// With `SO_LINGER` of zero, as clients do that would run out of ports.
    Rst,
}

/// The first loads, which all have marks.
pub(crate) const MARKED: [&str; 4] = [
    "50 clients, P=1",
    "50 clients, P=16",
    "50 clients, P=100",
    "500 clients, P=1",
];

/// The loads that the plot shows, from top to bottom: those where respool gains most, and those
/// where it gains least.
pub(crate) const PLOTTED: [&str; 14] = [
    MARKED[0],
    MARKED[1],
    MARKED[2],
    MARKED[3],
    "1 client, P=1",
    DIFFERING[0],
    DIFFERING[1],
    DIFFERING[2],
    "50 clients, P=16, mixed commands",
    CONNECTING[0],
    CONNECTING[2],
    CONNECTING[4],
    SUBSCRIBERS[0].0,
    SUBSCRIBERS[2].0,
];

/// The loads of PINGs that differ. They all have marks.
pub(crate) const DIFFERING: [&str; 3] = [
    "50 clients, P=1, differing",
    "50 clients, P=16, differing",
    "50 clients, P=100, differing",
];

/// The loads that connect for each request. They all have marks.
pub(crate) const CONNECTING: [&str; 6] = [
    "1 client, connect, PING, FIN",
    "1 client, connect, PING, RST",
    "8 clients, connect, PING, FIN",
    "8 clients, connect, PING, RST",
    "50 clients, connect, PING, FIN",
    "50 clients, connect, PING, RST",
];

/// The load that has the mark for memory.
pub(crate) const IDLE: &str = "10000 idle connections";

/// The loads over TLS and over a Unix socket that have marks.
pub(crate) const TLS: [&str; 3] = [
    "50 TLS clients, P=1",
    "50 TLS clients, P=16",
    "50 TLS clients, P=100",
];
pub(crate) const UNIX: [&str; 2] = ["50 Unix clients, P=1", "50 Unix clients, P=16"];
pub(crate) const HANDSHAKES: &str = "1 TLS PING beside 200 handshakes";
pub(crate) const IDLE_TLS: &str = "1000 idle TLS connections";

/// The loads with a publisher: the name, the number of subscribers, and the messages of a pipeline.
pub(crate) const SUBSCRIBERS: [(&str, usize, usize); 6] = [
    ("1 subscriber, P=1", 1, 1),
    ("1 subscriber, P=16", 1, 16),
    ("100 subscribers, P=100", 100, 100),
    ("1000 subscribers, P=100", 1000, 100),
    ("100 subscribers, P=1", 100, 1),
    ("1000 subscribers, P=1", 1000, 1),
];

/// Returns all loads.
pub(crate) fn all() -> Vec<Load> {
    const KIB: usize = 1024;
    let mut loads: Vec<_> = [
        (50, 1, Ping::Array),
        (50, 16, Ping::Array),
        (50, 100, Ping::Array),
        (500, 1, Ping::Array),
        (1, 1, Ping::Array),
        (1, 16, Ping::Array),
        (1, 100, Ping::Array),
        (500, 16, Ping::Array),
        (5000, 1, Ping::Array),
        (50, 1, Ping::Differing),
        (50, 16, Ping::Differing),
        (50, 100, Ping::Differing),
        (50, 1, Ping::Mixed),
        (50, 16, Ping::Mixed),
        (50, 1, Ping::Inline),
        (50, 16, Ping::Inline),
        (50, 100, Ping::Inline),
        (50, 1, Ping::Message(3)),
        (50, 16, Ping::Message(3)),
        (50, 100, Ping::Message(3)),
        (50, 1, Ping::Message(KIB)),
        (50, 16, Ping::Message(KIB)),
        (50, 1, Ping::Message(64 * KIB)),
    ]
    .map(|(clients, pipeline, ping)| Load::steady(talk(clients, pipeline, ping, Manner::Steady)))
    .into();
    let others = [
        (
            "1 PING beside 50 hogs, P=100",
            Kind::Talk(talk(50, 100, Ping::Array, Manner::Hogging)),
        ),
        (IDLE, Kind::Idle(10_000, Transport::Tcp)),
        ("start to the first PONG", Kind::Start),
    ];
    loads.extend(connecting());
    loads.extend(others.map(|(name, kind)| Load::new(name, kind)));
    loads.extend(subscribers());
    loads.extend(other_transports());
    loads
}

/// Returns the loads that connect for each request.
fn connecting() -> impl Iterator<Item = Load> {
    let closes = [(Close::Fin, "FIN"), (Close::Rst, "RST")];
    [1, 8, 50].into_iter().flat_map(move |clients| {
        closes.map(|(close, how)| {
            let talk = talk(clients, 1, Ping::Array, Manner::Connecting(close));
            let name = format!("{}, connect, PING, {how}", count(clients, "clients"));
            Load::new(&name, Kind::Talk(talk))
        })
    })
}

/// Returns the loads with a publisher.
fn subscribers() -> [Load; 6] {
    SUBSCRIBERS.map(|(name, subscribers, pipeline)| {
        let talk = talk(subscribers, pipeline, Ping::Array, Manner::Subscribing);
        Load::new(name, Kind::Talk(talk))
    })
}

/// Returns the loads over TLS and over Unix sockets.
fn other_transports() -> Vec<Load> {
    let talks = [Transport::Tls, Transport::Unix].map(|transport| {
        [1, 16, 100].map(|pipeline| {
            let talk = talk(50, pipeline, Ping::Array, Manner::Steady);
            Load::steady(Talk { transport, ..talk })
        })
    });
    let handshakes = Talk {
        transport: Transport::Tls,
        ..talk(200, 1, Ping::Array, Manner::Handshaking)
    };
    let others = [
        (HANDSHAKES, Kind::Talk(handshakes)),
        (IDLE_TLS, Kind::Idle(1000, Transport::Tls)),
    ];
    let others = others.map(|(name, kind)| Load::new(name, kind));
    talks.into_iter().flatten().chain(others).collect()
}

/// Returns the loads of `--scaling`.
pub(crate) fn for_scaling() -> Vec<Load> {
    [1, 16]
        .map(|pipeline| Load::steady(talk(50, pipeline, Ping::Array, Manner::Steady)))
        .into()
}

/// Returns a talk over TCP.
fn talk(clients: usize, pipeline: usize, ping: Ping, manner: Manner) -> Talk {
    Talk {
        clients,
        pipeline,
        ping,
        manner,
        transport: Transport::Tcp,
    }
}

impl Talk {
    /// Returns whether connections stay open.
    pub(crate) fn is_steady(&self) -> bool {
        match self.manner {
            Manner::Steady | Manner::Hogging | Manner::Subscribing => true,
            Manner::Connecting(_) | Manner::Handshaking => false,
        }
    }

    /// Returns whether one more client has one PING in flight, and the latencies are its own.
    pub(crate) fn has_pinger(&self) -> bool {
        match self.manner {
            Manner::Hogging | Manner::Handshaking => true,
            Manner::Steady | Manner::Connecting(_) | Manner::Subscribing => false,
        }
    }

    /// Returns the least time of a slice, in which all clients are answered several times.
    pub(crate) fn least_time(&self) -> Duration {
        let clients = self.clients as u32;
        match self.manner {
            // So that a client that waits for some handshakes is answered a hundred times.
            Manner::Handshaking => Duration::from_millis(4) * clients,
            Manner::Steady | Manner::Connecting(_) | Manner::Hogging => {
                Duration::from_micros(60) * clients
            }
            // So that a thousand have dozens of messages. With one, server and load wake each other
            // for every pipeline, and a short slice says little.
            Manner::Subscribing => Duration::from_millis(300),
        }
    }

    pub(crate) fn service(&self) -> Service {
        // The permits for handshakes matter where there are several workers.
        let workers = match self.manner {
            Manner::Handshaking => 2,
            Manner::Steady | Manner::Connecting(_) | Manner::Hogging | Manner::Subscribing => 1,
        };
        Service {
            ping: self.ping,
            workers,
            ..Service::over(self.transport)
        }
    }
}

impl Service {
    /// Returns a single worker that answers a PING as client libraries send it.
    pub(crate) fn over(transport: Transport) -> Self {
        Self {
            ping: Ping::Array,
            transport,
            workers: 1,
        }
    }
}

impl Load {
    fn new(name: &str, kind: Kind) -> Self {
        let name = name.to_owned();
        Self { name, kind }
    }

    fn steady(talk: Talk) -> Self {
        let clients = match talk.transport {
            Transport::Tcp => "clients",
            Transport::Unix => "Unix clients",
            Transport::Tls => "TLS clients",
        };
        let what = match talk.ping {
            Ping::Array => String::new(),
            Ping::Inline => ", inline".to_owned(),
            Ping::Message(bytes) if bytes >= 1024 => format!(", {} KiB", bytes / 1024),
            Ping::Message(bytes) => format!(", {bytes} bytes"),
            Ping::Differing => ", differing".to_owned(),
            Ping::Mixed => ", mixed commands".to_owned(),
        };
        let clients = count(talk.clients, clients);
        let name = format!("{clients}, P={}{what}", talk.pipeline);
        Self::new(&name, Kind::Talk(talk))
    }
}

/// Returns a number of things whose plural ends in "s".
fn count(number: usize, things: &str) -> String {
    let things = match number {
        1 => things.trim_end_matches('s'),
        _ => things,
    };
    format!("{number} {things}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let loads = all();
        let names: BTreeSet<_> = loads.iter().map(|load| &load.name).collect();
        assert_eq!(names.len(), loads.len());
    }

    #[test]
    fn names_describe_the_load() {
        let name = |clients, pipeline, ping| {
            Load::steady(talk(clients, pipeline, ping, Manner::Steady)).name
        };
        assert_eq!(name(1, 16, Ping::Array), "1 client, P=16");
        assert_eq!(name(50, 1, Ping::Inline), "50 clients, P=1, inline");
        assert_eq!(name(50, 1, Ping::Message(3)), "50 clients, P=1, 3 bytes");
        assert_eq!(
            name(50, 1, Ping::Message(65_536)),
            "50 clients, P=1, 64 KiB"
        );
    }

    #[test]
    fn loads_with_marks_come_first() {
        let names: Vec<_> = all().into_iter().map(|load| load.name).collect();
        assert_eq!(names[..MARKED.len()], MARKED);
        let single = [IDLE, HANDSHAKES, IDLE_TLS];
        let others = [
            PLOTTED.as_slice(),
            &CONNECTING,
            &DIFFERING,
            &TLS,
            &UNIX,
            &single,
        ]
        .concat();
        for other in others {
            assert!(names.iter().any(|name| name == other), "{other}");
        }
    }
}
