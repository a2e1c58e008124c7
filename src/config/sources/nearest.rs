//! Finds the key that a wrong name means, and decides whether an error may show that name.

use crate::config::{KEYS, Key};

/// Returns the key whose name is most similar to `word`, by the measure that clap uses for flags;
/// `None` if no name is similar.
pub(super) fn nearest(word: &str) -> Option<&'static Key> {
    KEYS.iter()
        .map(|key| (strsim::jaro(word, key.name), key))
        .filter(|(likeness, key)| *likeness > LIKENESS_MIN && is_near(word, key.name))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, key)| key)
}

/// Returns whether at most half of the characters differ. The other measure finds a word of one
/// letter similar to a long name that contains it.
fn is_near(word: &str, name: &str) -> bool {
    let longer = word.chars().count().max(name.len());
    2 * strsim::osa_distance(word, name) <= longer
}

/// Returns whether an error may show an unknown name that is similar to that of `key`. A longer
/// name may contain a value, and a name similar to that of a secret may contain the secret.
pub(super) fn may_show(name: &str, key: &Key) -> bool {
    !is_about_secret(key) && name.len() <= key.name.len() + 2
}

/// Returns whether a key is secret, or its name begins with that of a secret key.
pub(super) fn is_about_secret(key: &Key) -> bool {
    let mut secrets = KEYS.iter().filter(|key| key.secret);
    secrets.any(|secret| key.name.starts_with(secret.name))
}

/// Minimum similarity of a word to a key, from 0 to 1, to suggest the key: clap's limit for flags.
const LIKENESS_MIN: f64 = 0.7;
