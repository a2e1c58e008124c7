//! CLIENT LIST, CLIENT KILL and CLIENT PAUSE: what one client learns of others and does to them.

mod other_clients;
