//! One batch of requests, from the bytes of a client to the bytes of its replies.

pub(crate) mod batch;
