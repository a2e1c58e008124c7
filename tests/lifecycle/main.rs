//! How a server starts, is reconfigured, and drains.

mod drain;
mod health;
mod reload;
mod start;
