//! The keys among the words of a request, as its command declares them.

use std::fmt;

use crate::resp::Request;

/// Which words of a command's requests are keys. The name is word 0, as in `COMMAND`.
pub(crate) enum Keys {
    /// Every `step`-th word from `first`, which is not the name, to `last`, both included. A negative
    /// `last` counts from the end: -1 is the last word.
    Range {
        first: usize,
        last: isize,
        step: usize,
    },
    /// The arguments that a function of the program finds.
    Found(Box<Find>),
}

type Find = dyn Fn(&Request<'_>) -> Vec<usize> + Send + Sync;

impl Keys {
    /// Returns the keys of a command whose arguments at the indices that `find` returns are keys, up
    /// to the first index outside of the request.
    pub(crate) fn found_by<P: IntoIterator<Item = usize>>(
        find: impl Fn(&Request<'_>) -> P + Send + Sync + 'static,
    ) -> Self {
        Self::Found(Box::new(move |request| {
            let arguments = request.word_count() - 1;
            // A client may name any number of keys, so the indices are bounded in two ways.
            let indices = find(request).into_iter().take(arguments);
            indices.take_while(|index| *index < arguments).collect()
        }))
    }

    /// Returns the flags of Redis that follow: a function may find no keys.
    pub(crate) fn flags(&self) -> &'static str {
        match self {
            Self::Range { .. } => "",
            Self::Found(_) => "no_mandatory_keys movablekeys",
        }
    }

    /// Returns the indices of the keys among the arguments of `request`, which has the right number
    /// of words. None if the request is malformed.
    pub(crate) fn indices(&self, request: &Request<'_>) -> Vec<usize> {
        match self {
            &Self::Range { first, last, step } => {
                let words = request.word_count();
                let last = match usize::try_from(last) {
                    Ok(last) => last,
                    Err(_) => words.saturating_sub(last.unsigned_abs()),
                };
                if last < words {
                    // Word 1 is argument 0.
                    (first - 1..last).step_by(step).collect()
                } else {
                    Vec::new()
                }
            }
            Self::Found(find) => find(request),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { first, last, step } => {
                write!(f, "{first}..={last} step {step}")
            }
            Self::Found(_) => f.write_str("found by a function"),
        }
    }
}
