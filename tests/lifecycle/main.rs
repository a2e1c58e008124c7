//! How a server starts, is reconfigured, and drains.

mod drain;
mod reload;
mod start;
