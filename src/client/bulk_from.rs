//! Large replies that are read while they are sent.

use std::io::Read;

use super::session::Session;
use crate::logging;
use crate::resp::{BulkSource, ErrorReply, Replied, Reply, misused, without_line_ends};

impl Session {
    /// Replies with a bulk string of the first `length` bytes of `reader`, which are read while
    /// they are sent: for a value that is large, as a file or an `io::Cursor` of an `Arc<[u8]>`.
    ///
    /// A chunk of up to 64 KiB is read, by one call of `read`, when the socket has taken the one
    /// before. Each chunk is a write to the socket, so a reader that returns few bytes at a time is
    /// slow. A client takes no more memory than a chunk, and nothing is read while its peer does
    /// not read. Its later requests wait; so do messages and pushes to it. A drain waits for the
    /// rest, up to `drain-timeout-ms`.
    ///
    /// ```
    /// use std::fs::File;
    ///
    /// use respool::{Arity, Commands, ErrorReply};
    ///
    /// let mut commands = Commands::builtin();
    /// commands.register("LOGFILE", Arity::Exactly(1), |session, _request, reply| {
    ///     let file = File::open("/var/log/service.log").map_err(ErrorReply::showing)?;
    ///     let length = file.metadata().map_err(ErrorReply::showing)?.len();
    ///     Ok(session.bulk_from(reply, length, file))
    /// });
    /// ```
    ///
    /// Workers call the reader, one at a time. It may block, but a worker waits for it: a reader
    /// that waits for another machine needs a timeout. It is dropped after the last byte, when the
    /// client is closed, and unread if no reply is sent after `CLIENT REPLY OFF`. In `EXEC`, the
    /// whole value is read at once into memory, because the replies are sent together.
    ///
    /// If the reader fails or ends too early, the client is closed, because its peer would take
    /// anything else for the rest of the value; the log shows the error. In `EXEC`, the reply is an
    /// error instead. If the reader panics, the client is closed, as after a panic of a handler.
    /// For the [middleware](crate::Middleware) and `SLOWLOG`, the call ends with the handler.
    ///
    /// # Panics
    ///
    /// Panics if `reply` is an item of an array, a map or a set, or that of a
    /// [token](crate::DeferredReply), or if `length` exceeds `i64::MAX`.
    #[track_caller]
    pub fn bulk_from(
        &mut self,
        reply: Reply<'_>,
        length: u64,
        reader: impl Read + Send + 'static,
    ) -> Replied {
        if reply.is_part() {
            misused(format_args!("only a whole reply can be read later"));
        }
        let mut source = BulkSource::new(length, reader);
        if self.is_in_exec() {
            return reply.or_error(|reply| {
                reply.bulk_of(length, &mut source).map_err(|error| {
                    let (name, id, peer) = (self.command_name(), self.id(), self.peer());
                    let error = error.to_string();
                    let error = without_line_ends(error.as_str().into());
                    logging::error!(
                        "a reply could not be read: command {name}, client {id} ({peer}): {error}"
                    );
                    ErrorReply::err("internal error: see the server's log")
                })
            });
        }
        self.begin_sending(source);
        reply.bulk_header(length)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::resp::Protocol;

    fn in_exec(length: u64, value: &'static [u8]) -> String {
        let mut session = Session::for_test(0, (Ipv4Addr::LOCALHOST, 1).into());
        session.begin_exec();
        let mut out = Vec::new();
        let reply = Reply::new(&mut out, Protocol::Resp2);
        let Replied { .. } = session.bulk_from(reply, length, value);
        assert!(!session.has_reply_to_come());
        out.escape_ascii().to_string()
    }

    #[test]
    fn value_is_read_whole_in_exec() {
        assert_eq!(in_exec(0, b"abc"), r"$0\r\n\r\n");
        assert_eq!(in_exec(2, b"abc"), r"$2\r\nab\r\n");
        let error = r"-ERR internal error: see the server\'s log\r\n";
        assert_eq!(in_exec(4, b"abc"), error);
        assert_eq!(in_exec(i64::MAX as u64, b"abc"), error);
    }
}
