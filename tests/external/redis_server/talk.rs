//! Plays a conversation. Finds the end of a reply without a clock.
//!
//! After each request its client sends a *fence*: an unknown command with a number. In every state of
//! a client (unauthenticated, among messages in RESP2) the reply is an error that quotes it. The bytes
//! before that error are the reply. A monitor receives requests later, so it also sends `ECHO` of the
//! number, and has received all when it receives that.
//!
//! A step of a conversation is a text:
//!
//! | text | means |
//! |---|---|
//! | `PING x` | a line, or several, from the first client |
//! | (nothing) | what the client receives without a request |
//! | `B: PING` | the same from the second client, which connects when it is first named |
//! | `RAW: *1\r\n…` | bytes, one per char |
//! | `END: QUIT` | the server closes the connection after its reply; there is no fence |
//! | `{ no x1024}` | anywhere: the word `no` 1,024 times; for the limit of `COMMAND INFO` |
//! | `{x1024}`, `{257 prefixes}` | anywhere: this many bytes or tracked prefixes; for their limits |
//! | `{id}`, `{addr}`, `{laddr}`, `{B.id}`, `{B.addr}` | anywhere: the server's view of a client |
//!
//! Prefixes come in this order: `B: END: RAW: *x\r\n`.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use super::value::{Value, bytes, latin1};
use respool_testing::redis_server::{PASSWORD, Setting};
use respool_testing::{Peer, eventually};

/// The replies to one step.
pub(crate) struct Received {
    /// The step, before names in braces are replaced.
    pub(crate) step: String,
    /// The reply, then the lines of MONITOR. Without the fence.
    pub(crate) reply: Vec<u8>,
}

/// The server's ids of the clients of a conversation, by the names in braces.
pub(crate) type Names = Vec<(&'static str, String)>;

/// A finished conversation.
pub(crate) struct Played {
    /// One per step.
    pub(crate) received: Vec<Received>,
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
    let received = steps.iter().map(|step| talk.step(step)).collect();
    Played {
        received,
        names: talk.names,
    }
}

/// A conversation in progress.
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
            // Nothing is known yet, and nothing may be asked.
            return;
        }
        // Waits until nothing is left of the previous conversation.
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

    /// Switches a client to RESP3 if the conversation is in RESP3.
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

    fn step(&mut self, step: &str) -> Received {
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
        // Only MONITOR, which is never refused, can be known before its reply.
        party.monitors &= !rest.lines().any(|line| line.eq_ignore_ascii_case("RESET"));
        let reply = if ends {
            party.until_close(&bytes(&request))
        } else {
            self.fences += 1;
            party.reply(&bytes(&request), self.fences)
        };
        party.monitors |= rest.eq_ignore_ascii_case("MONITOR") && reply == b"+OK\r\n";
        Received {
            step: step.to_owned(),
            reply,
        }
    }

    fn second_party_comes(&mut self) {
        let mut b = Party::connect(self.addr);
        // Before authentication this is an error, and no conversation uses the id.
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
    /// It receives all requests.
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

    /// Sends a request and returns its value.
    fn ask(&mut self, request: &str) -> Value {
        self.peer.send(request);
        let received = self.receive(|received| Value::read(&mut &*received).is_some());
        Value::read(&mut &*received).expect("a whole reply")
    }

    /// Sends `request` and the fence of this number, and returns the bytes before the fence.
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
            // A closed connection is noticed when reading.
            let _ = self.peer.socket.write_all(&sent);
        }
        let received = self.receive(|received| ends_at(received, &fence) && has(received, &line));
        if !self.monitors {
            return match received.strip_suffix(fence.as_bytes()) {
                Some(reply) => reply.to_vec(),
                None => [&received, &b"<closed>"[..]].concat(),
            };
        }
        let received = latin1(&received)
            .replacen(&fence, "", 1)
            .replacen(&echo, "", 1);
        let lines = received.split_inclusive("\r\n");
        let (monitored, replied): (Vec<_>, Vec<_>) = lines.partition(|line| is_monitored(line));
        let monitored = monitored
            .into_iter()
            .filter(|line_of| !line_of.ends_with(&line));
        bytes(&replied.into_iter().chain(monitored).collect::<String>())
    }

    /// Sends `request` and reads until the close.
    fn until_close(&mut self, request: &[u8]) -> Vec<u8> {
        let _ = self.peer.socket.write_all(request);
        self.receive(|_| false)
    }

    /// Reads until `enough` returns true, or until the close.
    #[track_caller]
    fn receive(&mut self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut received = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while !self.gone && !enough(&received) {
            match self.peer.socket.read(&mut buffer) {
                Ok(0) => self.gone = true,
                Ok(count) => received.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Returned as a reply, so that the report names the step.
                Err(error) => {
                    received.extend(format!("<{error}>").bytes());
                    self.gone = true;
                }
            }
        }
        received
    }
}

/// Returns true if `received` has the fence at its end, or before lines of MONITOR.
fn ends_at(received: &[u8], fence: &str) -> bool {
    received.ends_with(fence.as_bytes()) || (received.ends_with(b"\"\r\n") && has(received, fence))
}

fn has(received: &[u8], text: &str) -> bool {
    let mut places = received.windows(text.len().max(1));
    text.is_empty() || places.any(|place| place == text.as_bytes())
}

/// Returns true for a line of MONITOR: `+1700000000.123456 [0 127.0.0.1:50188] "PING"`.
fn is_monitored(line: &str) -> bool {
    let is_time = |time: &str| {
        time.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let rest = line
        .strip_prefix('+')
        .and_then(|rest| rest.split_once(" ["));
    rest.is_some_and(|(time, _)| is_time(time))
}

/// Returns the reply to `request` for an authenticated client.
pub(crate) fn answer(addr: SocketAddr, setting: Setting, request: &str) -> Value {
    let mut party = Party::connect(addr);
    if setting == Setting::Password {
        let reply = party.ask(&format!("AUTH {PASSWORD}\r\n"));
        assert_eq!(reply.text, "OK");
    }
    party.ask(&format!("{request}\r\n"))
}
