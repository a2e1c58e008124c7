//! temporary
#![allow(missing_docs)]
use std::net::IpAddr;
pub(crate) const WORKERS_MAX: usize = 1024;
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindAddress {
    pub address: IpAddr,
    pub optional: bool,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub bind: Vec<BindAddress>,
    pub port: u16,
    pub workers: usize,
    pub maxclients: usize,
    pub timeout_s: u32,
    pub tcp_backlog: u32,
    pub tcp_keepalive_s: u32,
    pub proto_max_bulk_len: usize,
    pub drain_timeout_ms: u32,
}
impl Default for Config {
    fn default() -> Self {
        Config {
            bind: vec![
                BindAddress {
                    address: "127.0.0.1".parse().unwrap(),
                    optional: false,
                },
                BindAddress {
                    address: "::1".parse().unwrap(),
                    optional: true,
                },
            ],
            port: 6379,
            workers: 0,
            maxclients: 10000,
            timeout_s: 0,
            tcp_backlog: 511,
            tcp_keepalive_s: 300,
            proto_max_bulk_len: 512 << 20,
            drain_timeout_ms: 1000,
        }
    }
}
impl Config {
    pub fn worker_count(&self) -> usize {
        if self.workers == 0 {
            num_cpus::get()
        } else {
            self.workers
        }
    }
}
