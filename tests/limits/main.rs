//! Every bound on what a peer may take of the server.

mod bounds;
mod hostile;
mod late_clients;
mod memory_returns;
mod pending_output;
