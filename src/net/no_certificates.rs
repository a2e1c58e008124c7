//! A build without the feature `tls` loads no certificates. `Config::check` refuses a `tls-port`,
//! so nothing of this is called.

use std::borrow::Cow;

use crate::config::Config;

/// A type without values.
#[derive(Debug)]
pub(crate) enum ServerConfig {}

pub(crate) type Mistake = (&'static str, Cow<'static, str>);

pub(crate) fn load(_: &Config) -> Result<ServerConfig, Mistake> {
    Err(("tls-port", "this build has no TLS".into()))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp;

impl Stamp {
    pub(crate) fn of(_: &Config) -> Self {
        Self
    }
}
