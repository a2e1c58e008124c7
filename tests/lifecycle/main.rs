//! How a server starts, accepts, drains and ends.

mod drain;
mod life;
mod start;
