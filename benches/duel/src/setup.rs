//! What is measured, where and how long.

use std::path::PathBuf;

use crate::cores::Cores;
use crate::options::Pace;
use crate::server::ServerSpec;

#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) specs: Vec<ServerSpec>,
    pub(crate) cores: Cores,
    pub(crate) pace: Pace,
    /// The directory of the results.
    pub(crate) out: PathBuf,
}
