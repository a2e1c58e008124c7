//! One connection: reads a request, sends the answer, and lingers.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::time::Instant;

use mio::net::TcpStream;

use super::answer::Status;
use super::request::{Request, RequestReader};

/// A connection, which has one request and one answer.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    /// The address of the peer.
    pub(super) peer: IpAddr,
    /// When it is closed, whatever it does.
    pub(super) deadline: Instant,
    /// Whether the socket may be ready, or had more than one step reads.
    pub(super) is_ready: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Reading(RequestReader),
    /// An answer, and how much of it is sent.
    Sending(Vec<u8>, usize),
    /// The answer and FIN are sent. A close with unread input would send RST, and the peer could
    /// lose the answer. Counts the bytes that were discarded since.
    Lingering(usize),
}

/// The result of a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The socket has to become ready.
    Waits,
    /// There may be more to do at once.
    HasMore,
    /// The connection is to be closed.
    Ended,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, peer: IpAddr, deadline: Instant) -> Self {
        Self {
            socket,
            peer,
            deadline,
            is_ready: true,
            stage: Stage::Reading(RequestReader::default()),
        }
    }

    /// Returns whether its answer is being sent.
    pub(super) fn is_answered(&self) -> bool {
        match self.stage {
            Stage::Sending(..) => true,
            Stage::Reading(_) | Stage::Lingering(_) => false,
        }
    }

    /// Goes on until the socket is not ready, or for a bounded time. `answer` makes the bytes of
    /// the answer.
    pub(super) fn step(
        &mut self,
        mut answer: impl FnMut(Result<Request, Status>) -> Vec<u8>,
    ) -> Step {
        for _ in 0..OPERATIONS_PER_STEP {
            let moved = match &mut self.stage {
                Stage::Reading(reader) => match read(&mut self.socket, reader) {
                    Ok(None) => continue,
                    Ok(Some(request)) => Ok(Stage::Sending(answer(request), 0)),
                    Err(step) => Err(step),
                },
                Stage::Sending(bytes, sent) => match send(&mut self.socket, bytes, sent) {
                    Ok(()) => Ok(Stage::Lingering(0)),
                    Err(step) => Err(step),
                },
                Stage::Lingering(discarded) => match discard(&mut self.socket, discarded) {
                    Ok(()) => continue,
                    Err(step) => Err(step),
                },
            };
            match moved {
                Ok(stage) => self.stage = stage,
                Err(step) => return step,
            }
        }
        Step::HasMore
    }
}

/// Reads once. Returns the request if it is whole, or an error that is to be answered.
fn read(
    socket: &mut TcpStream,
    reader: &mut RequestReader,
) -> Result<Option<Result<Request, Status>>, Step> {
    let mut bytes = [0; READ_BYTES];
    let count = after(socket.read(&mut bytes))?;
    if count == 0 {
        // The peer left before its request was whole.
        return Err(Step::Ended);
    }
    Ok(reader.add(&bytes[..count]).transpose())
}

/// Sends the rest of an answer, and FIN.
fn send(socket: &mut TcpStream, bytes: &[u8], sent: &mut usize) -> Result<(), Step> {
    while *sent < bytes.len() {
        *sent += after(socket.write(&bytes[*sent..]))?;
    }
    socket.shutdown(Shutdown::Write).map_err(|_| Step::Ended)
}

/// Reads and discards, once.
fn discard(socket: &mut TcpStream, discarded: &mut usize) -> Result<(), Step> {
    if *discarded > DISCARDED_BYTES_MAX {
        return Err(Step::Waits);
    }
    let mut bytes = [0; READ_BYTES];
    match after(socket.read(&mut bytes))? {
        0 => Err(Step::Ended),
        count => {
            *discarded += count;
            Ok(())
        }
    }
}

/// Returns the number of bytes, or what follows without any.
fn after(result: std::io::Result<usize>) -> Result<usize, Step> {
    result.map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Step::Waits,
        ErrorKind::Interrupted => Step::HasMore,
        _ => Step::Ended,
    })
}

const READ_BYTES: usize = 4096;

/// Reads and writes of one connection before others have their turn.
const OPERATIONS_PER_STEP: usize = 16;

/// Maximum bytes that are discarded. Then the writes of a peer that goes on sending block, so it
/// reads its answer, until the deadline closes it.
const DISCARDED_BYTES_MAX: usize = 256 * 1024;
