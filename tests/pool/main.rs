//! The rules of the pool, over sockets.

mod rules;
mod turns;
