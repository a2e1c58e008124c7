//! The loads, in the order in which they are run: those that the marks are about come first.

use crate::pings::Ping;

/// Something that each server has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Talk(Talk),
    /// So many connections that have each had one PONG, and rest.
    Idle(usize),
    /// From the start of the process to the first PONG.
    Start,
}

/// Clients that each have some PINGs in flight, and send as many again when all are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Talk {
    pub(crate) clients: usize,
    pub(crate) pipeline: usize,
    pub(crate) ping: Ping,
    pub(crate) manner: Manner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// On connections that stay.
    Steady,
    /// Each on a connection of its own, which is closed behind the reply.
    Connecting,
    /// One more client has one PING in flight at a time, and it is its latency that counts.
    Hogging,
}

impl Load {
    fn talk(clients: usize, pipeline: usize, ping: Ping) -> Self {
        let what = match ping {
            Ping::Array => String::new(),
            Ping::Inline => ", inline".to_owned(),
            Ping::Message(bytes) if bytes >= 1024 => format!(", {} KiB", bytes / 1024),
            Ping::Message(bytes) => format!(", {bytes} bytes"),
        };
        Self {
            name: format!("{clients} clients, P={pipeline}{what}").replace("1 clients", "1 client"),
            kind: Kind::Talk(Talk {
                clients,
                pipeline,
                ping,
                manner: Manner::Steady,
            }),
        }
    }

    fn connecting() -> Self {
        Self {
            name: "50 clients, connect, PING, close".to_owned(),
            kind: Kind::Talk(Talk {
                clients: 50,
                pipeline: 1,
                ping: Ping::Array,
                manner: Manner::Connecting,
            }),
        }
    }

    fn hogging() -> Self {
        Self {
            name: "1 PING beside 50 hogs, P=100".to_owned(),
            kind: Kind::Talk(Talk {
                clients: 50,
                pipeline: 100,
                ping: Ping::Array,
                manner: Manner::Hogging,
            }),
        }
    }

    fn idle(connections: usize) -> Self {
        Self {
            name: format!("{connections} idle connections"),
            kind: Kind::Idle(connections),
        }
    }

    fn start() -> Self {
        Self {
            name: "start to the first PONG".to_owned(),
            kind: Kind::Start,
        }
    }
}

/// The loads that have marks, and a plot shows.
pub(crate) const MARKED: [&str; 4] = [
    "50 clients, P=1",
    "50 clients, P=16",
    "50 clients, P=100",
    "500 clients, P=1",
];

/// The load of the mark for memory.
pub(crate) const IDLE: &str = "10000 idle connections";

/// All loads.
pub(crate) fn all() -> Vec<Load> {
    const KIB: usize = 1024;
    let talks = [
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
    ];
    let mut loads: Vec<_> = talks
        .into_iter()
        .map(|(clients, pipeline, ping)| Load::talk(clients, pipeline, ping))
        .collect();
    loads.extend([
        Load::connecting(),
        Load::hogging(),
        Load::idle(10_000),
        Load::start(),
    ]);
    loads
}

/// What `--scaling` is about.
pub(crate) fn for_scaling() -> Vec<Load> {
    [1, 16]
        .into_iter()
        .map(|pipeline| Load::talk(50, pipeline, Ping::Array))
        .collect()
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "cargo sets `test` for a bench, without tests"
)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_load_has_a_name_of_its_own() {
        let loads = all();
        let names: BTreeSet<_> = loads.iter().map(|load| &load.name).collect();
        assert_eq!(names.len(), loads.len());
    }

    #[test]
    fn a_name_tells_what_is_asked() {
        let name = |clients, pipeline, ping| Load::talk(clients, pipeline, ping).name;
        assert_eq!(name(1, 16, Ping::Array), "1 client, P=16");
        assert_eq!(name(50, 1, Ping::Inline), "50 clients, P=1, inline");
        assert_eq!(name(50, 1, Ping::Message(3)), "50 clients, P=1, 3 bytes");
        assert_eq!(
            name(50, 1, Ping::Message(65_536)),
            "50 clients, P=1, 64 KiB"
        );
    }

    #[test]
    fn the_loads_with_marks_come_first() {
        let names: Vec<_> = all().into_iter().map(|load| load.name).collect();
        assert_eq!(names[..MARKED.len()], MARKED);
        assert!(names.iter().any(|name| name == IDLE));
    }
}
