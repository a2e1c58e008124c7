//! Bytes in, bytes out: transcripts, replies, repeated requests.

mod half_close;
mod redis_crate;
mod repeats;
mod replies;
mod stage;
mod transcripts;
