//! Helpers that handlers share: reading arguments, and frequent replies.

use crate::command::refusal::{QUOTED_BYTES_MAX, c_string};
use crate::glob;
use crate::resp::{Replied, Reply, Request};

/// Returns the argument at `index`, which the command's arity guarantees.
pub(super) fn argument<'a>(request: &Request<'a>, index: usize) -> &'a [u8] {
    request.argument(index).unwrap_or_default()
}

/// Whether `word` is `name`, in any case.
pub(super) fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// Answers an array with an element for each of `items`.
pub(super) fn array<T>(
    items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    reply: Reply<'_>,
    write: impl Fn(T, Reply<'_>) -> Replied,
) -> Replied {
    let items = items.into_iter();
    reply.array(items.len(), |array| {
        for item in items {
            array.add(|reply| write(item, reply));
        }
    })
}

/// Answers a set with an element for each of `items`.
pub(super) fn set<T>(
    items: impl Iterator<Item = T>,
    reply: Reply<'_>,
    write: impl Fn(T, Reply<'_>) -> Replied,
) -> Replied {
    let items: Vec<_> = items.collect();
    reply.set(items.len(), |set| {
        for item in items {
            set.add(|reply| write(item, reply));
        }
    })
}

/// Answers an array of bulk strings.
pub(super) fn bulks(
    items: impl IntoIterator<Item: AsRef<[u8]>, IntoIter: ExactSizeIterator>,
    reply: Reply<'_>,
) -> Replied {
    array(items, reply, |item, reply| reply.bulk(item))
}

pub(super) fn syntax_error(reply: Reply<'_>) -> Replied {
    reply.error("ERR syntax error")
}

/// Answers Redis's error for a wrong number of arguments that the subcommand itself counts.
pub(super) fn wrong_arguments(container: &str, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let name = c_string(argument(request, 0), QUOTED_BYTES_MAX);
    let start = b"ERR unknown subcommand or wrong number of arguments for '";
    let end = format!("'. Try {container} HELP.");
    reply.error([start, name, end.as_bytes()].concat())
}

/// Answers that a pattern is longer than [`glob::PATTERN_BYTES_MAX`].
#[cold]
pub(super) fn pattern_too_long(reply: Reply<'_>) -> Replied {
    let bytes_max = glob::PATTERN_BYTES_MAX;
    reply.error(format!("ERR a pattern has at most {bytes_max} bytes"))
}

/// Maximum names or patterns in one request, repetitions included. Redis has no such bound: there,
/// each costs a search, and a request of 1 MiB can have a reply of 600 MiB.
pub(super) const NAMES_MAX: usize = 1024;

/// Answers that a request has more than [`NAMES_MAX`] names of this `kind`.
#[cold]
pub(super) fn too_many(kind: &str, reply: Reply<'_>) -> Replied {
    reply.error(format!("ERR too many {kind}, at most {NAMES_MAX} at once"))
}

pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
