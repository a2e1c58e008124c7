//! What a peer may send: every bound of the protocol, with its unit and its reason.

/// Bytes of one line: an inline request, or the header of an array or of a bulk string.
///
/// Redis's `PROTO_INLINE_MAX_SIZE`. A line is searched for its end no further than this.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;

/// Arguments of one request, its name included. Redis's bound (`INT_MAX`) since 7.0.
pub(crate) const ARGUMENTS_MAX: i64 = i32::MAX as i64;

/// The most bytes that one request can be allowed to make us hold: its own and those of the table of
/// its arguments. It keeps every offset in a request within 32 bits.
pub(crate) const REQUEST_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Arguments of one request, its name included, of a client that has not said the password.
pub(crate) const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;

/// Bytes of one bulk string of such a client.
pub(crate) const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16 * 1024;

/// What holds for one client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes that one request may make us hold, up to [`REQUEST_BYTES_MAX`]: the directive
    /// `client-query-buffer-limit`.
    pub(crate) request_bytes_max: usize,
    /// Bytes of one bulk string: the directive `proto-max-bulk-len`.
    pub(crate) bulk_bytes_max: usize,
    /// It has not said the password, and so may send little.
    pub(crate) unauthenticated: bool,
}
