//! How a server starts, takes another configuration, and drains.

mod drain;
mod reload;
mod start;
