//! The loads, in the order in which they run. Those with marks come first.

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
    Idle(usize),
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The connections stay open.
    Steady,
    /// Each pipeline has a connection of its own, which the client closes after the reply.
    Connecting,
    /// One more client has one PING in flight at a time. The latencies are those of this client.
    Hogging,
}

/// The loads that have marks and that the plot shows.
pub(crate) const MARKED: [&str; 4] = [
    "50 clients, P=1",
    "50 clients, P=16",
    "50 clients, P=100",
    "500 clients, P=1",
];

/// The load that has the mark for memory.
pub(crate) const IDLE: &str = "10000 idle connections";

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
    .map(|(clients, pipeline, ping)| steady(clients, pipeline, ping))
    .into();
    let others = [
        (
            "50 clients, connect, PING, close",
            talk(50, 1, Ping::Array, Manner::Connecting),
        ),
        (
            "1 PING beside 50 hogs, P=100",
            talk(50, 100, Ping::Array, Manner::Hogging),
        ),
        (IDLE, Kind::Idle(10_000)),
        ("start to the first PONG", Kind::Start),
    ];
    loads.extend(others.map(|(name, kind)| Load::new(name, kind)));
    loads
}

/// Returns the loads of `--scaling`.
pub(crate) fn for_scaling() -> Vec<Load> {
    [1, 16]
        .map(|pipeline| steady(50, pipeline, Ping::Array))
        .into()
}

fn steady(clients: usize, pipeline: usize, ping: Ping) -> Load {
    let what = match ping {
        Ping::Array => String::new(),
        Ping::Inline => ", inline".to_owned(),
        Ping::Message(bytes) if bytes >= 1024 => format!(", {} KiB", bytes / 1024),
        Ping::Message(bytes) => format!(", {bytes} bytes"),
    };
    let name = format!("{clients} clients, P={pipeline}{what}").replace("1 clients", "1 client");
    Load::new(&name, talk(clients, pipeline, ping, Manner::Steady))
}

fn talk(clients: usize, pipeline: usize, ping: Ping, manner: Manner) -> Kind {
    Kind::Talk(Talk {
        clients,
        pipeline,
        ping,
        manner,
    })
}

impl Load {
    fn new(name: &str, kind: Kind) -> Self {
        let name = name.to_owned();
        Self { name, kind }
    }
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
        let name = |clients, pipeline, ping| steady(clients, pipeline, ping).name;
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
        assert!(names.iter().any(|name| name == IDLE));
    }
}
