//! A build without the feature `http` has no operations listener. `Config::check` refuses an
//! `http-port`, so there is never a socket for it.

use mio::net::TcpListener;

use super::shared::Shared;
use crate::error::StartError;

pub(super) struct OperationsThread;

impl OperationsThread {
    #[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
    pub(super) fn start(_: &Shared, _: Vec<TcpListener>) -> Result<Self, StartError> {
        Ok(Self)
    }
}
