//! A session and its model, which predicts the exact bytes of all replies.

use std::collections::BTreeSet;
use std::fmt::Write;

use fastrand::Rng;

use crate::World;
use crate::wire::Wire;
use respool_testing::request;

/// The state that redis-server keeps for a client, as far as it matters here.
#[expect(
    clippy::struct_excessive_bools,
    reason = "redis-server has these flags"
)]
struct Model {
    id: u64,
    resp3: bool,
    name: String,
    /// The numbers of its channels, and whether it has its pattern.
    channels: BTreeSet<u32>,
    has_pattern: bool,
    /// `CLIENT REPLY`: OFF; SKIP for this request; SKIP for the next.
    off: bool,
    skip: bool,
    skip_next: bool,
    requests: Vec<u8>,
    replies: Vec<u8>,
}

/// Connects, sends pipelines, compares every reply, disconnects.
pub(crate) fn episode(world: &World, rng: &mut Rng) {
    let _shared = world.episodes.read();
    let mut wire = Wire::connect(world, rng);
    let mut model = Model::new(wire.number("CLIENT ID"));
    for _ in 0..rng.usize(1..10) {
        let bytes_max = if rng.u8(..) < 8 {
            PIPELINE_BYTES_MAX
        } else {
            200_000
        };
        for _ in 0..rng.usize(1..300) {
            model.step(rng);
            if model.replies.len().max(model.requests.len()) > bytes_max {
                break;
            }
        }
        wire.send_cut(&model.requests, rng);
        wire.expect(&model.replies);
        model.requests.clear();
        model.replies.clear();
    }
    match rng.u8(..4) {
        0 => wire.reset(),
        1 => {
            wire.end_sending();
            wire.expect_end();
        }
        2 => {
            let is_answered = !model.off && !model.skip;
            wire.ask("QUIT", if is_answered { "+OK\r\n" } else { "" });
            wire.expect_end();
        }
        _ => {}
    }
}

/// Size of a pipeline that is written whole before its replies are read.
const PIPELINE_BYTES_MAX: usize = 30_000_000;

impl Model {
    fn new(id: u64) -> Self {
        Self {
            id,
            resp3: false,
            name: String::new(),
            channels: BTreeSet::new(),
            has_pattern: false,
            off: false,
            skip: false,
            skip_next: false,
            requests: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// Adds one request and its reply.
    fn step(&mut self, rng: &mut Rng) {
        match rng.u8(..24) {
            0..4 => self.ask(rng, &["PING"]).pong(""),
            4 => self.ask(rng, &["PING", "hello"]).pong("hello"),
            5..9 => self.echo(rng),
            9 => self
                .ask(rng, &["NONE", "x"])
                .error("ERR unknown command 'NONE', with args beginning with: 'x' "),
            10 => self
                .ask(rng, &["ECHO"])
                .error("ERR wrong number of arguments for 'echo' command"),
            11 => self
                .ask(rng, &["SELECT", "7"])
                .unless_subscribed("select", "+OK\r\n"),
            12 => self
                .ask(rng, &["SELECT", "99"])
                .unless_subscribed("select", "-ERR DB index is out of range\r\n"),
            13 => self.set_or_get_name(rng),
            14 => {
                let id = format!(":{}\r\n", self.id);
                self.ask(rng, &["CLIENT", "ID"])
                    .unless_subscribed("client|id", &id);
            }
            15 => self.hello(rng),
            16 if rng.bool() => self.reset(rng),
            17 => self.reply_mode(rng),
            18 => self.subscribe(rng),
            19 => self.unsubscribe(rng),
            20 => self.pattern(rng),
            21 | 22 => self.publish(rng),
            _ => {
                let empty: [&[u8]; 3] = [b"\r\n", b"*0\r\n", b"*-1\r\n"];
                self.requests
                    .extend_from_slice(rng.choice(empty).unwrap_or_default());
            }
        }
        self.skip = std::mem::take(&mut self.skip_next);
    }

    /// Adds a request, inline or as an array.
    fn ask(&mut self, rng: &mut Rng, words: &[&str]) -> &mut Self {
        if rng.bool() {
            self.requests
                .extend(format!("{}\r\n", words.join(" ")).into_bytes());
        } else {
            let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
            self.requests.extend(request(&words));
        }
        self
    }

    fn is_subscribed(&self) -> bool {
        self.has_pattern || !self.channels.is_empty()
    }

    fn count(&self) -> usize {
        self.channels.len() + usize::from(self.has_pattern)
    }

    /// Adds a reply unless CLIENT REPLY suppresses it.
    fn reply(&mut self, reply: impl AsRef<[u8]>) {
        if !self.off && !self.skip {
            self.replies.extend_from_slice(reply.as_ref());
        }
    }

    fn error(&mut self, text: &str) {
        self.reply(format!("-{text}\r\n"));
    }

    /// In RESP2 a subscriber may run few commands. Returns true if this one was refused.
    fn is_refused(&mut self, command: &str) -> bool {
        let is_refused = self.is_subscribed() && !self.resp3;
        if is_refused {
            self.error(&format!(
                "ERR Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / \
                 QUIT / RESET are allowed in this context"
            ));
        }
        is_refused
    }

    fn unless_subscribed(&mut self, command: &str, reply: &str) {
        if !self.is_refused(command) {
            self.reply(reply);
        }
    }

    fn pong(&mut self, message: &str) {
        let bulk = format!("${}\r\n{message}\r\n", message.len());
        if self.is_subscribed() && !self.resp3 {
            self.reply(format!("*2\r\n$4\r\npong\r\n{bulk}"));
        } else if message.is_empty() {
            self.reply("+PONG\r\n");
        } else {
            self.reply(bulk);
        }
    }

    fn echo(&mut self, rng: &mut Rng) {
        let length = match rng.u8(..) {
            0 => 1_000_000,
            1..6 => 10_000,
            6..20 => 0,
            _ => rng.usize(1..100),
        };
        let message: Vec<u8> = (0..length.min(1000)).map(|_| rng.u8(..)).collect();
        let message = message.repeat(length / 1000 + 1);
        self.requests.extend(request(&[b"ECHO", &message]));
        if !self.is_refused("echo") {
            let head = format!("${}\r\n", message.len()).into_bytes();
            self.reply([&head, &message[..], b"\r\n"].concat());
        }
    }

    fn null(&self) -> &'static str {
        if self.resp3 { "_\r\n" } else { "$-1\r\n" }
    }

    fn set_or_get_name(&mut self, rng: &mut Rng) {
        if rng.bool() {
            let name = format!("n{}", rng.u16(..));
            self.ask(rng, &["CLIENT", "SETNAME", &name]);
            if !self.is_refused("client|setname") {
                self.name = name;
                self.reply("+OK\r\n");
            }
        } else {
            let name = match self.name.as_str() {
                "" => self.null().to_owned(),
                name => format!("${}\r\n{name}\r\n", name.len()),
            };
            self.ask(rng, &["CLIENT", "GETNAME"])
                .unless_subscribed("client|getname", &name);
        }
    }

    fn hello(&mut self, rng: &mut Rng) {
        let resp3 = rng.bool();
        self.ask(rng, &["HELLO", if resp3 { "3" } else { "2" }]);
        if self.is_refused("hello") {
            return;
        }
        self.resp3 = resp3;
        let (head, version) = if resp3 { ("%7", 3) } else { ("*14", 2) };
        self.reply(format!(
            "{head}\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.0\r\n$5\r\nproto\r\n\
             :{version}\r\n$2\r\nid\r\n:{}\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\n\
             master\r\n$7\r\nmodules\r\n*0\r\n",
            self.id
        ));
    }

    fn reset(&mut self, rng: &mut Rng) {
        self.ask(rng, &["RESET"]);
        let skip = self.skip;
        *self = Self {
            requests: std::mem::take(&mut self.requests),
            replies: std::mem::take(&mut self.replies),
            ..Self::new(self.id)
        };
        // As in redis-server, SKIP hides this reply, too.
        self.skip = skip;
        self.reply("+RESET\r\n");
    }

    fn reply_mode(&mut self, rng: &mut Rng) {
        let mode = *rng.choice(&["ON", "ON", "OFF", "SKIP"]).unwrap_or(&"ON");
        self.ask(rng, &["CLIENT", "REPLY", mode]);
        if self.is_refused("client|reply") {
            return;
        }
        match mode {
            "OFF" => self.off = true,
            "SKIP" => self.skip_next = !self.off,
            _ => {
                (self.off, self.skip) = (false, false);
                self.reply("+OK\r\n");
            }
        }
    }

    fn channel(&self, number: u32) -> String {
        format!("c{}-{number}", self.id)
    }

    /// Adds a message, which CLIENT REPLY never suppresses.
    fn push(&mut self, words: &[&str], last: &str) {
        let head = if self.resp3 { '>' } else { '*' };
        let mut push = format!("{head}{}\r\n", words.len() + 1);
        for word in words {
            let _ = write!(push, "${}\r\n{word}\r\n", word.len());
        }
        self.replies.extend((push + last).into_bytes());
    }

    fn confirm(&mut self, word: &str, name: &str) {
        self.push(&[word, name], &format!(":{}\r\n", self.count()));
    }

    fn subscribe(&mut self, rng: &mut Rng) {
        let number = rng.u32(..4);
        let channel = self.channel(number);
        self.ask(rng, &["SUBSCRIBE", &channel]);
        self.channels.insert(number);
        self.confirm("subscribe", &channel);
    }

    fn unsubscribe(&mut self, rng: &mut Rng) {
        let number = rng.u32(..4);
        let channel = self.channel(number);
        self.ask(rng, &["UNSUBSCRIBE", &channel]);
        self.channels.remove(&number);
        self.confirm("unsubscribe", &channel);
    }

    fn pattern(&mut self, rng: &mut Rng) {
        let pattern = format!("c{}-*", self.id);
        let subscribes = rng.bool();
        let command = if subscribes {
            "PSUBSCRIBE"
        } else {
            "PUNSUBSCRIBE"
        };
        self.ask(rng, &[command, &pattern]);
        self.has_pattern = subscribes;
        self.confirm(&command.to_lowercase(), &pattern);
    }

    /// To itself: the message precedes the reply.
    fn publish(&mut self, rng: &mut Rng) {
        let number = rng.u32(..4);
        let channel = self.channel(number);
        self.ask(rng, &["PUBLISH", &channel, "news"]);
        if self.is_refused("publish") {
            return;
        }
        let is_subscribed = self.channels.contains(&number);
        if is_subscribed {
            self.push(&["message", &channel], "$4\r\nnews\r\n");
        }
        if self.has_pattern {
            let pattern = format!("c{}-*", self.id);
            self.push(&["pmessage", &pattern, &channel], "$4\r\nnews\r\n");
        }
        let count = usize::from(is_subscribed) + usize::from(self.has_pattern);
        self.reply(format!(":{count}\r\n"));
    }
}
