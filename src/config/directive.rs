//! The directives of CONFIG GET and CONFIG SET: the keys of the configuration, and directives of
//! Redis without an effect here.

use std::borrow::Cow;

use super::inert::{self, Inert};
use super::{Change, Config, KEYS, Key};

/// A directive of CONFIG.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Directive {
    Key(&'static Key),
    /// A directive that cannot be changed, with its value.
    Constant(&'static str, &'static str),
    /// A directive without an effect, with the name that the client used.
    Inert(&'static Inert, &'static str),
}

/// Directives that clients read and that Redis cannot change either.
const CONSTANTS: [Directive; 2] = [
    Directive::Constant("databases", "16"),
    Directive::Constant("cluster-enabled", "no"),
];

impl Directive {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let names = |inert: &'static Inert| {
            let names = [inert.name, inert.alias].into_iter();
            let names = names.filter(|name| !name.is_empty());
            names.map(move |name| Self::Inert(inert, name))
        };
        let inert = inert::TABLE.iter().flat_map(names);
        KEYS.iter().map(Self::Key).chain(CONSTANTS).chain(inert)
    }

    /// Returns the directive of this name, in any case.
    pub(crate) fn find(name: &[u8]) -> Option<Self> {
        Self::all().find(|directive| directive.name().as_bytes().eq_ignore_ascii_case(name))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Key(key) => key.name,
            Self::Constant(name, _) | Self::Inert(_, name) => name,
        }
    }

    pub(crate) fn text(self, config: &Config, values: &inert::Values) -> String {
        match self {
            Self::Key(key) => key.text(config),
            Self::Constant(_, value) => value.to_owned(),
            Self::Inert(inert, _) => values.get(inert),
        }
    }

    pub(crate) fn is_immutable(self) -> bool {
        match self {
            Self::Key(key) => key.change != Change::Anytime,
            Self::Constant(..) => true,
            Self::Inert(..) => false,
        }
    }

    /// Sets the value in `config`, or adds it to `inert_values` if it has no effect.
    pub(crate) fn set(
        self,
        config: &mut Config,
        inert_values: &mut Vec<(&'static Inert, String)>,
        value: &[u8],
    ) -> Result<(), Cow<'static, str>> {
        match (self, str::from_utf8(value)) {
            // A file could not contain this value.
            (_, Err(_)) => Err("argument must be UTF-8".into()),
            (Self::Key(key), Ok(value)) => key.set(config, value),
            (Self::Constant(..), Ok(_)) => Err("can't set immutable config".into()),
            (Self::Inert(inert, _), Ok(value)) => inert
                .parse(value)
                .map(|value| inert_values.push((inert, value))),
        }
    }
}

impl PartialEq for Directive {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

/// Returns whether `name` is a directive whose value is not secret.
pub(crate) fn is_public(name: &[u8]) -> bool {
    match Directive::find(name) {
        Some(Directive::Key(key)) => !key.secret,
        Some(Directive::Constant(..) | Directive::Inert(..)) => true,
        None => false,
    }
}

/// Returns whether `name` is a directive whose value is secret.
pub(crate) fn is_secret(name: &[u8]) -> bool {
    matches!(Directive::find(name), Some(Directive::Key(key)) if key.secret)
}
