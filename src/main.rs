//! temporary
use respool::*;
fn main() {
    let mut c = Config::default();
    if let Some(w) = std::env::args().nth(1) {
        c.workers = w.parse().unwrap();
    }
    if let Some(w) = std::env::args().nth(2) {
        c.port = w.parse().unwrap();
    }
    let s = Server::bind(c, Commands::builtin()).unwrap();
    eprintln!("{:?}", s.local_addrs());
    s.serve().unwrap();
}
