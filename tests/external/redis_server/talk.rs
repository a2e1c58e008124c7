//! How a conversation is played, and how the end of a reply is found without looking at a clock.
//!
//! Behind each request its party sends a *fence*: a command that no server has, with a number. That
//! is answered in every state of a client (before the password, among messages in RESP2) by an error
//! that quotes it; what comes before that error is the reply. A monitor is told of requests by and
//! by, so it sends an `ECHO` of the number too, and has been told of all when it is told of that.
//!
//! A step of a conversation is a text:
//!
//! | text | means |
//! |---|---|
//! | `PING x` | a line that the first party sends; several lines if it has some |
//! | (nothing) | what the party hears without having asked for it |
//! | `B: PING` | the same of the second party, which connects when it is first named |
//! | `RAW: *1\r\n…` | bytes as they are, each char one byte |
//! | `END: QUIT` | the server closes the connection behind its reply; there is no fence |
//! | `{ no x1024}` | anywhere: a thousand times the word `no`; for the limit of `COMMAND INFO` |
//! | `{x1024}`, `{257 prefixes}` | anywhere: so many bytes, so many tracked prefixes; for their limits |
//! | `{id}`, `{addr}`, `{laddr}`, `{B.id}`, `{B.addr}` | anywhere: a party as the server sees it |
//!
//! The prefixes come in this order: `B: END: RAW: *x\r\n`.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use super::value::{Value, bytes, latin1};
use respool_testing::redis_server::{PASSWORD, Setting};
use respool_testing::{Peer, eventually};

/// What was heard in one step.
pub(crate) struct Heard {
    /// The step, without what is put in for names in braces.
    pub(crate) step: String,
    /// The reply; then what a monitor was told. Not what belongs to the fence.
    pub(crate) reply: Vec<u8>,
}

/// What the server calls the parties of a conversation, by the names in braces.
pub(crate) type Names = Vec<(&'static str, String)>;

/// A conversation that is over.
pub(crate) struct Played {
    /// For each step.
    pub(crate) heard: Vec<Heard>,
    pub(crate) names: Names,
}

/// Plays `steps` against the server at `addr`.
pub(crate) fn play(addr: SocketAddr, setting: Setting, resp3: bool, steps: &[String]) -> Played {
    let mut talk = Talk {
        addr,
        resp3,
        fences: 0,
        names: Names::new(),
        a: Party::connect(addr),
        b: None,
    };
    talk.begin(setting);
    let heard = steps.iter().map(|step| talk.step(step)).collect();
    Played {
        heard,
        names: talk.names,
    }
}

/// A conversation under way.
struct Talk {
    addr: SocketAddr,
    resp3: bool,
    fences: usize,
    names: Names,
    a: Party,
    b: Option<Party>,
}

impl Talk {
    fn begin(&mut self, setting: Setting) {
        for (name, count) in [("{ no x1024}", 1024), ("{ no x1025}", 1025)] {
            self.names.push((name, " no".repeat(count)));
        }
        for (name, count) in [("{x1024}", 1024), ("{x1025}", 1025)] {
            self.names.push((name, "x".repeat(count)));
        }
        let prefixes: Vec<_> = (100..357)
            .map(|number| format!("PREFIX {number}"))
            .collect();
        self.names.push(("{257 prefixes}", prefixes.join(" ")));
        let addr = self.a.peer.local_addr();
        self.names.push(("{addr}", addr.to_string()));
        self.names.push(("{laddr}", self.addr.to_string()));
        if setting == Setting::Password {
            // Nothing else is known yet, and nothing may be asked.
            return;
        }
        // What the conversation before has left behind is gone before this one looks for it.
        let a = &mut self.a;
        let mut own_line = String::new();
        eventually("the clients of the last conversation are gone", || {
            own_line = a.ask("CLIENT LIST\r\n").text;
            own_line.lines().count() == 1
                && a.ask("PUBSUB CHANNELS\r\n").items.is_empty()
                && a.ask("PUBSUB NUMPAT\r\n").text == "0"
        });
        let id = own_line
            .split(' ')
            .next()
            .and_then(|word| word.strip_prefix("id="));
        self.names
            .push(("{id}", id.expect("the first field").to_owned()));
        self.greet(true);
    }

    /// Has a party speak RESP3 if this conversation is in RESP3.
    fn greet(&mut self, is_a: bool) {
        if self.resp3 {
            let party = if is_a {
                Some(&mut self.a)
            } else {
                self.b.as_mut()
            };
            let reply = party.expect("it has come").ask("HELLO 3\r\n");
            assert_eq!(reply.kind, '%', "{reply:?}");
        }
    }

    fn step(&mut self, step: &str) -> Heard {
        let rest = step.strip_prefix("B: ");
        let is_b = rest.is_some();
        let rest = rest.unwrap_or(step);
        if (is_b || step.contains("{B.")) && self.b.is_none() {
            self.second_party_comes();
        }
        let (rest, ends) = match rest.strip_prefix("END: ") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (rest, end_of_line) = match rest.strip_prefix("RAW: ") {
            Some(raw) => (raw, ""),
            None if ends && rest.is_empty() => (rest, ""),
            None => (rest, "\r\n"),
        };
        let named = |text: String, (name, value): &(&str, String)| text.replace(name, value);
        let request = self.names.iter().fold(rest.to_owned(), named) + end_of_line;
        let party = match &mut self.b {
            Some(b) if is_b => b,
            _ => &mut self.a,
        };
        // Only the one that is refused nowhere can be known before it is answered.
        party.monitors &= !rest.lines().any(|line| line.eq_ignore_ascii_case("RESET"));
        let reply = if ends {
            party.last_words(&bytes(&request))
        } else {
            self.fences += 1;
            party.reply(&bytes(&request), self.fences)
        };
        party.monitors |= rest.eq_ignore_ascii_case("MONITOR") && reply == b"+OK\r\n";
        Heard {
            step: step.to_owned(),
            reply,
        }
    }

    fn second_party_comes(&mut self) {
        let mut b = Party::connect(self.addr);
        // Before the password it is an error, and no conversation names it.
        let id = b.ask("CLIENT ID\r\n").text;
        let addr = b.peer.local_addr();
        self.names.push(("{B.id}", id));
        self.names.push(("{B.addr}", addr.to_string()));
        self.b = Some(b);
        self.greet(false);
    }
}

/// One client of the server.
struct Party {
    peer: Peer,
    /// It is told of all requests.
    monitors: bool,
    /// The server has closed the connection.
    gone: bool,
}

impl Party {
    fn connect(addr: SocketAddr) -> Self {
        Self {
            peer: Peer::connect(addr),
            monitors: false,
            gone: false,
        }
    }

    /// Asks for one value.
    fn ask(&mut self, request: &str) -> Value {
        self.peer.send(request);
        let heard = self.hear(|heard| Value::read(&mut &*heard).is_some());
        Value::read(&mut &*heard).expect("a whole reply")
    }

    /// Sends `request` and the fence of this number, and gives what comes before that.
    fn reply(&mut self, request: &[u8], number: usize) -> Vec<u8> {
        let fence =
            format!("-ERR unknown command 'fence-{number}', with args beginning with: \r\n");
        let mut sent = request.to_vec();
        let (mut echo, mut line) = (String::new(), String::new());
        if self.monitors {
            let word = format!("monitored-{number}");
            sent.extend(format!("ECHO {word}\r\n").bytes());
            echo = format!("${}\r\n{word}\r\n", word.len());
            line = format!("\"ECHO\" \"{word}\"\r\n");
        }
        sent.extend(format!("fence-{number}\r\n").bytes());
        if !self.gone {
            // A connection that is closed on the way is seen when it is read.
            let _ = self.peer.socket.write_all(&sent);
        }
        let heard = self.hear(|heard| ends_at(heard, &fence) && has(heard, &line));
        if !self.monitors {
            return match heard.strip_suffix(fence.as_bytes()) {
                Some(reply) => reply.to_vec(),
                None => [&heard, &b"<closed>"[..]].concat(),
            };
        }
        let heard = latin1(&heard)
            .replacen(&fence, "", 1)
            .replacen(&echo, "", 1);
        let lines = heard.split_inclusive("\r\n");
        let (told, replied): (Vec<_>, Vec<_>) = lines.partition(|line| is_told(line));
        let told = told.into_iter().filter(|told| !told.ends_with(&line));
        bytes(&replied.into_iter().chain(told).collect::<String>())
    }

    /// Sends `request` and reads to the close.
    fn last_words(&mut self, request: &[u8]) -> Vec<u8> {
        let _ = self.peer.socket.write_all(request);
        self.hear(|_| false)
    }

    /// Reads until `enough` has come, or to the close.
    #[track_caller]
    fn hear(&mut self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut heard = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while !self.gone && !enough(&heard) {
            match self.peer.socket.read(&mut buffer) {
                Ok(0) => self.gone = true,
                Ok(count) => heard.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Told as a reply, so that one sees which step it is that goes wrong.
                Err(error) => {
                    heard.extend(format!("<{error}>").bytes());
                    self.gone = true;
                }
            }
        }
        heard
    }
}

/// Whether `heard` has the fence: at its end, or where a monitor's lines stand behind it.
fn ends_at(heard: &[u8], fence: &str) -> bool {
    heard.ends_with(fence.as_bytes()) || (heard.ends_with(b"\"\r\n") && has(heard, fence))
}

fn has(heard: &[u8], text: &str) -> bool {
    let mut places = heard.windows(text.len().max(1));
    text.is_empty() || places.any(|place| place == text.as_bytes())
}

/// Whether a line is one that monitors are told: `+1700000000.123456 [0 127.0.0.1:50188] "PING"`.
fn is_told(line: &str) -> bool {
    let is_time = |time: &str| {
        time.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let rest = line
        .strip_prefix('+')
        .and_then(|rest| rest.split_once(" ["));
    rest.is_some_and(|(time, _)| is_time(time))
}

/// What a client that knows the password is answered to `request`: one value.
pub(crate) fn answer(addr: SocketAddr, setting: Setting, request: &str) -> Value {
    let mut party = Party::connect(addr);
    if setting == Setting::Password {
        let reply = party.ask(&format!("AUTH {PASSWORD}\r\n"));
        assert_eq!(reply.text, "OK");
    }
    party.ask(&format!("{request}\r\n"))
}
