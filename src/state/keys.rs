//! The keys among the words of a request, as its command declares them.

use std::fmt;

use crate::resp::Request;

/// Which words of a command's requests are keys. The name is word 0, as in `COMMAND`.
pub(crate) enum Keys {
    /// Every `step`-th word from `first` to `last`, both included. A negative `last` counts from
    /// the end: -1 is the last word.
    Range {
        first: usize,
        last: isize,
        step: usize,
    },
    /// The words that a function of the program finds.
    Found(Box<Find>),
}

type Find = dyn Fn(&Request<'_>) -> Vec<usize> + Send + Sync;

impl Keys {
    /// The keys that `find` returns, up to the first position outside of the request.
    pub(crate) fn found_by<P: IntoIterator<Item = usize>>(
        find: impl Fn(&Request<'_>) -> P + Send + Sync + 'static,
    ) -> Self {
        Self::Found(Box::new(move |request| {
            let words = request.word_count();
            // A client may name any number of keys, so the positions are bounded in two ways.
            let positions = find(request).into_iter().take(words);
            positions
                .take_while(|position| (1..words).contains(position))
                .collect()
        }))
    }

    /// Returns the flags of Redis that follow: a function may find no keys.
    pub(crate) fn flags(&self) -> &'static str {
        match self {
            Self::Range { .. } => "",
            Self::Found(_) => "no_mandatory_keys movablekeys",
        }
    }

    /// Returns the positions of the keys in `request`, which has the right number of words. None
    /// if the request is malformed.
    pub(crate) fn positions(&self, request: &Request<'_>) -> Vec<usize> {
        match self {
            &Self::Range { first, last, step } => {
                let words = request.word_count();
                let last = match usize::try_from(last) {
                    Ok(last) => last,
                    Err(_) => words.saturating_sub(last.unsigned_abs()),
                };
                if last < words {
                    (first..=last).step_by(step).collect()
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
