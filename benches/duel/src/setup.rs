//! What is measured, where and how long.

use std::path::PathBuf;

use crate::cores::Cores;
use crate::options::Pace;
use crate::server::ServerSpec;

#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) specs: Vec<ServerSpec>,
    /// The servers that are not installed, and so not run.
    pub(crate) not_installed: Vec<&'static str>,
    pub(crate) cores: Cores,
    pub(crate) pace: Pace,
    /// The directory of the results.
    pub(crate) out: PathBuf,
}
