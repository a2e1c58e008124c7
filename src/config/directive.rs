//! The directives of CONFIG GET and CONFIG SET: the keys of the configuration, and directives of
//! Redis that have no effect here or are refused.

use std::borrow::Cow;

use super::inert::{self, Inert};
use super::unsupported::Unsupported;
use super::{Change, Config, KEYS, Key};

/// A directive of CONFIG.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Directive {
    Key(&'static Key),
    /// A directive that cannot be changed, with its value.
    Constant(&'static str, &'static str),
    /// A directive without an effect, with the name that the client used.
    Inert(&'static Inert, &'static str),
    /// A directive that CONFIG SET refuses and CONFIG GET does not show.
    Unsupported(&'static Unsupported),
}

/// Directives that clients read and that Redis cannot change either.
const CONSTANTS: [Directive; 2] = [
    Directive::Constant("databases", "16"),
    Directive::Constant("cluster-enabled", "no"),
];

impl Directive {
    /// Returns those that CONFIG GET shows.
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
        Self::all()
            .find(|directive| directive.name().as_bytes().eq_ignore_ascii_case(name))
            .or_else(|| Unsupported::find(name).map(Self::Unsupported))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Key(key) => key.name,
            Self::Constant(name, _) | Self::Inert(_, name) => name,
            Self::Unsupported(row) => row.name,
        }
    }

    pub(crate) fn text(self, config: &Config, values: &inert::Values) -> String {
        match self {
            Self::Key(key) => key.text(config),
            Self::Constant(_, value) => value.to_owned(),
            Self::Inert(inert, _) => values.get(inert),
            Self::Unsupported(_) => String::new(),
        }
    }

    pub(crate) fn is_immutable(self) -> bool {
        match self {
            Self::Key(key) => match key.change {
                Change::Anytime | Change::WithCertificates => false,
                Change::OnReload | Change::AtStart => true,
            },
            Self::Constant(..) => true,
            Self::Inert(..) | Self::Unsupported(_) => false,
        }
    }

    /// Returns whether CONFIG SET of it loads the certificates again.
    pub(crate) fn loads_certificates(self) -> bool {
        matches!(self, Self::Key(key) if key.change == Change::WithCertificates)
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
            (Self::Unsupported(row), Ok(value)) => row.check(value).map_err(Cow::from),
        }
    }
}

impl PartialEq for Directive {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

/// Returns the name of the directive `name` if Redis has it and it has no effect here.
#[cfg(feature = "cli")]
pub(crate) fn without_effect(name: &str) -> Option<&'static str> {
    match Directive::find(name.as_bytes())? {
        Directive::Inert(_, name) | Directive::Constant(name, _) => Some(name),
        Directive::Key(_) | Directive::Unsupported(_) => None,
    }
}

/// Returns whether `name` is a directive whose value is not secret.
pub(crate) fn is_public(name: &[u8]) -> bool {
    match Directive::find(name) {
        Some(Directive::Key(key)) => !key.secret,
        Some(Directive::Constant(..) | Directive::Inert(..)) => true,
        Some(Directive::Unsupported(row)) => !row.secret,
        None => false,
    }
}

/// Returns whether `name` is a directive whose value is secret.
pub(crate) fn is_secret(name: &[u8]) -> bool {
    match Directive::find(name) {
        Some(Directive::Key(key)) => key.secret,
        Some(Directive::Unsupported(row)) => row.secret,
        Some(Directive::Constant(..) | Directive::Inert(..)) | None => false,
    }
}
