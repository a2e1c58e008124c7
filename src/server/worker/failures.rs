//! Calls that failed without a reply of their handler: panics, and replies that broke off.

use std::any::Any;
use std::io;
use std::sync::atomic::Ordering;

use super::Worker;
use crate::client::Client;
use crate::client::session::Session;
use crate::client::stage::Stage;
use crate::dispatch::output::INTERNAL_ERROR;
use crate::logging;
use crate::resp::without_line_ends;
use crate::server::supervision::panic_text;
use crate::state::close_reason::CloseReason;

impl Worker {
    /// Counts and logs a panic of a handler or of the hook for new clients.
    #[cold]
    pub(super) fn note_panic(&self, session: &Session, text: &str, calls: u64) {
        let counts = &self.stats.counts;
        counts.count_error(b"ERR");
        let (id, peer) = (session.id(), session.peer());
        // Texts of assertions have several lines.
        let text = without_line_ends(text.into());
        if !session.is_connected {
            logging::error!("the hook for new clients panicked: client {id} ({peer}): {text}");
            return;
        }
        self.count_failed_call(session, calls);
        let name = session.command_name();
        logging::error!("a handler panicked: command {name}, client {id} ({peer}): {text}");
    }

    /// Ends the request whose handler panicked.
    #[cold]
    pub(super) fn end_panic(
        &mut self,
        client: &mut Client,
        panic: &(dyn Any + Send),
    ) -> CloseReason {
        // The call of a handler that has deferred its reply is counted already.
        let calls = u64::from(!matches!(client.stage, Stage::Deferred));
        self.note_panic(&client.session, panic_text(panic), calls);
        self.output.finish_panic(&mut client.session);
        let reply = self.output.reply(client.session.protocol());
        let _ = reply.error(INTERNAL_ERROR);
        self.send_last(client, CloseReason::Panicked)
    }

    /// Counts and logs a reply that could not be read to its end.
    #[cold]
    pub(super) fn note_broken_source(&self, session: &Session, error: &io::Error) {
        // The call is counted already.
        self.count_failed_call(session, 0);
        let error = error.to_string();
        let error = without_line_ends(error.as_str().into());
        let (name, id, peer) = (session.command_name(), session.id(), session.peer());
        logging::error!("a reply could not be read: command {name}, client {id} ({peer}): {error}");
    }

    /// Counts a failed call of the client's last command.
    #[cold]
    fn count_failed_call(&self, session: &Session, calls: u64) {
        let index = usize::from(session.info().command.load(Ordering::Relaxed));
        if let Some(command) = self.stats.counts.commands.get(index) {
            command.calls.add(calls);
            command.failed.add(1);
        }
    }
}
