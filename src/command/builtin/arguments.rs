//! What handlers have in common: how they look at a request's words, and what they often say.

use crate::command::refusal::{QUOTED_BYTES_MAX, c_string};
use crate::glob;
use crate::resp::{Replied, Reply, Request};

/// The argument at `index`, which the command's arity says is there.
pub(crate) fn argument<'a>(request: &Request<'a>, index: usize) -> &'a [u8] {
    request.argument(index).unwrap_or_default()
}

pub(crate) fn syntax_error(reply: Reply<'_>) -> Replied {
    reply.error("ERR syntax error")
}

/// Redis's words for too few or too many arguments where a subcommand itself counts them.
pub(crate) fn wrong_arguments(container: &str, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    text.extend_from_slice(c_string(argument(request, 0), QUOTED_BYTES_MAX));
    text.extend_from_slice(format!("'. Try {container} HELP.").as_bytes());
    reply.error(text)
}

/// Whether `word` is `name`, in any case.
pub(crate) fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// What a pattern is answered that is longer than [`glob::PATTERN_BYTES_MAX`].
#[cold]
pub(crate) fn pattern_too_long(reply: Reply<'_>) -> Replied {
    let bytes_max = glob::PATTERN_BYTES_MAX;
    reply.error(format!("ERR a pattern has at most {bytes_max} bytes"))
}

/// Names or patterns that one request may ask about, each as often as it likes. Redis has no such
/// bound: there, each costs a search, and a request of 1 MiB can have a reply of 600 MiB.
pub(crate) const NAMES_MAX: usize = 1024;

/// What a request is answered that asks about more than [`NAMES_MAX`] of `what`.
#[cold]
pub(crate) fn too_many(what: &str, reply: Reply<'_>) -> Replied {
    reply.error(format!("ERR too many {what}, at most {NAMES_MAX} at once"))
}

pub(crate) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
