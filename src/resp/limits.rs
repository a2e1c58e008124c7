//! The limits on requests, with their units and reasons.

/// Maximum bytes of a line: an inline request, or the header of an array or a bulk string. Redis's
/// `PROTO_INLINE_MAX_SIZE`.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;

/// Maximum words of a request, including its name. Redis's limit (`INT_MAX`) since 7.0.
pub(crate) const ARGUMENTS_MAX: i64 = i32::MAX as i64;

/// Upper limit of [`Limits::request_bytes_max`]. It keeps every offset in a request within 32 bits.
pub(crate) const REQUEST_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Maximum words of a request, including its name, of an unauthenticated client.
pub(crate) const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;

/// Maximum bytes of a bulk string of an unauthenticated client.
pub(crate) const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16 * 1024;

/// The limits on the requests of one client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum memory of a request and the table of its words: the directive
    /// `client-query-buffer-limit`, at most [`REQUEST_BYTES_MAX`].
    pub(crate) request_bytes_max: usize,
    /// Maximum bytes of a bulk string: the directive `proto-max-bulk-len`.
    pub(crate) bulk_bytes_max: usize,
    /// Whether the client has yet to authenticate, and so may send only small requests.
    pub(crate) unauthenticated: bool,
}
