//! The methods of a handle about clients: publish, push, list and close.

use super::handle::ServerHandle;
use crate::client::snapshot::ClientSnapshot;
use crate::resp::{Items, Protocol, Reply};
use crate::state::channels::CHANNEL_BYTES_MAX;
use crate::state::clients::{ClientFlags, ClientInfo};
use crate::state::inbox::KillReason;

impl ServerHandle {
    /// Publishes a message to a channel, as the command `PUBLISH` does, and returns at once.
    /// Returns the number of receivers: a client counts once for the channel, and once for each
    /// pattern that matches its name. A name of more than 1,024 bytes has no receivers.
    ///
    /// Each receiver gets the messages of one thread in their order, without a gap. A receiver that
    /// does not read its messages is closed when more wait for it than the class `pubsub` of
    /// [`client_output_buffer_limit`](crate::config::Config::client_output_buffer_limit) allows. So
    /// a thread that publishes faster than its receivers read loses them.
    ///
    /// May be called from every thread, also from a handler. If the client of that handler is a
    /// receiver, it gets the message after the replies to the requests that it has pipelined.
    ///
    /// ```
    /// # use respool::{Commands, Config, Server};
    /// # let config = Config { port: 0, ..Config::default() };
    /// # let server = Server::bind(config, Commands::builtin())?;
    /// let handle = server.handle();
    /// std::thread::spawn(move || {
    ///     let receivers = handle.publish("news", "it rains");
    ///     println!("{receivers} clients know");
    /// });
    /// # Ok::<_, respool::StartError>(())
    /// ```
    pub fn publish(&self, channel: impl AsRef<[u8]>, message: impl AsRef<[u8]>) -> usize {
        let channel = channel.as_ref();
        if channel.len() > CHANNEL_BYTES_MAX {
            return 0;
        }
        self.state().publish(channel, message.as_ref())
    }

    /// Sends a push of `count` items to one client, and returns at once. By convention, the first
    /// item names the kind of message. Returns false, and sends nothing, if
    ///
    /// - the client has gone, or is being closed;
    /// - the client speaks RESP2 and is not subscribed to a channel, so that it would take the
    ///   message for a reply. A subscriber in RESP2 gets an array.
    ///
    /// True means that the message waits for the client, not that it has arrived. Pushes and
    /// published messages are bounded by the same limit, and keep their order: see
    /// [`Self::publish`]. If this message exceeds the limit, the client is closed, and this returns
    /// false.
    ///
    /// Calls `fill` a second time if the client changes its protocol meanwhile.
    ///
    /// # Panics
    ///
    /// Panics if `fill` does not add exactly `count` items.
    ///
    /// ```
    /// # use respool::{Commands, Config, Server};
    /// # let config = Config { port: 0, ..Config::default() };
    /// # let server = Server::bind(config, Commands::builtin())?;
    /// # let handle = server.handle();
    /// let is_sent = handle.push(7, 2, |items| {
    ///     items.bulk("progress");
    ///     items.integer(50);
    /// });
    /// assert!(!is_sent, "there is no client 7");
    /// # Ok::<_, respool::StartError>(())
    /// ```
    #[track_caller]
    pub fn push(&self, id: u64, count: usize, fill: impl Fn(&mut Items<'_>)) -> bool {
        let Some(info) = self.state().clients.find(id) else {
            return false;
        };
        loop {
            let protocol = info.inbox.protocol();
            if !takes_pushes(&info, protocol) {
                return false;
            }
            let mut message = Vec::new();
            let _ = Reply::new(&mut message, protocol).message(count, &fill);
            match self.deliver(&info, protocol, &message) {
                Delivery::Done => return true,
                Delivery::Refused => return false,
                Delivery::OtherProtocol => {}
            }
        }
    }

    /// Puts a message that is encoded in `protocol` into the inbox of a client.
    fn deliver(&self, info: &ClientInfo, protocol: Protocol, message: &[u8]) -> Delivery {
        let mut delivery = Delivery::Done;
        let bytes = |current| {
            // Under the lock that the client takes when it changes its protocol or unsubscribes.
            if current != protocol {
                delivery = Delivery::OtherProtocol;
            } else if !takes_pushes(info, protocol) {
                delivery = Delivery::Refused;
            }
            if delivery == Delivery::Done {
                message
            } else {
                b""
            }
        };
        let unsent = info.pending_output.get();
        if info.inbox.push(bytes, unsent, self.state().terms()) {
            self.state().notify(&[info.slot]);
        }
        if info.inbox.kill_reason().is_some() {
            return Delivery::Refused;
        }
        delivery
    }

    /// Returns all clients in the order of accept. Visits each without a lock on all, so clients
    /// may come and go meanwhile.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientSnapshot> {
        let infos = self.state().clients.all();
        let snapshots = infos.map(|info| ClientSnapshot::of(self.state(), &info));
        snapshots.collect()
    }

    /// Returns the client of this number; `None` if it has gone.
    #[must_use]
    pub fn client(&self, id: u64) -> Option<ClientSnapshot> {
        let info = self.state().clients.find(id)?;
        Some(ClientSnapshot::of(self.state(), &info))
    }

    /// Closes a client, as `CLIENT KILL` does, and returns at once. Returns false if the client has
    /// gone.
    ///
    /// Pending output is not sent. A handler that is running for the client ends first, and its
    /// reply is sent; the same holds for requests that the client has pipelined. To close the
    /// client of a handler after its reply, call
    /// [`Session::close_after_reply`](crate::Session::close_after_reply).
    ///
    /// The log and [`DisconnectReason`](crate::DisconnectReason) show `closed by the program:` and
    /// `reason`, in which control characters become blanks. `INFO` counts these as
    /// `closed_by_program`. If the client is already being closed, the first reason stays.
    pub fn close(&self, id: u64, reason: &str) -> bool {
        let Some(info) = self.state().clients.find(id) else {
            return false;
        };
        let reason = reason.replace(char::is_control, " ");
        info.inbox.kill(KillReason::Program(reason.into()));
        self.state().notify(&[info.slot]);
        true
    }
}

/// The result of an attempt to put a message into a client's inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Done,
    /// The client is being closed, or must not get it.
    Refused,
    /// The client has changed its protocol.
    OtherProtocol,
}

/// Whether the client can tell a push from a reply, and is not being closed.
fn takes_pushes(info: &ClientInfo, protocol: Protocol) -> bool {
    let knows_pushes = match protocol {
        Protocol::Resp2 => info.has(ClientFlags::SUBSCRIBER),
        Protocol::Resp3 => true,
    };
    knows_pushes && !info.has(ClientFlags::CLOSING)
}
