//! A server as a child process.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::Endpoint;
use crate::context;
use crate::cores::Cores;
use crate::loads::Service;
use crate::pings::{Exchange, Ping};
use crate::place::{Place, free_addr};
use crate::products::Product;
use crate::scraper::Scraper;
use crate::wire::{PATIENCE, ask, be_patient};

/// How to start a server.
#[derive(Debug, Clone)]
pub(crate) struct ServerSpec {
    /// Its name in the results.
    pub(crate) name: String,
    pub(crate) product: Product,
    pub(crate) program: OsString,
    pub(crate) version: String,
    /// Follow the product's own arguments and override them.
    pub(crate) more_arguments: Vec<String>,
    /// Whether its /metrics are scraped.
    pub(crate) is_scraped: bool,
}

/// A server that answers. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    place: Place,
    /// The requests that it was started for, in turn.
    pub(crate) exchanges: Vec<Exchange>,
    /// Ends before the server.
    scraper: Option<Scraper>,
    child: Child,
    watchdog: Option<Child>,
}

impl ServerSpec {
    /// Finds a product; `None` if it is not installed.
    pub(crate) fn find(product: Product) -> io::Result<Option<Self>> {
        let found = product.find()?;
        Ok(found.map(|(program, version)| Self {
            name: product.name().to_owned(),
            product,
            program,
            version,
            more_arguments: Vec::new(),
            is_scraped: false,
        }))
    }

    /// Starts a server. Returns the time from the start of its process to its first PONG, too.
    pub(crate) fn start(&self, service: Service, cores: &Cores) -> io::Result<(Server, Duration)> {
        self.try_start(service, cores).map_err(context(&self.name))
    }

    fn try_start(&self, service: Service, cores: &Cores) -> io::Result<(Server, Duration)> {
        let place = Place::new(service.transport)?;
        let exchanges = self.exchanges(service.ping);
        let exchanges = exchanges.ok_or_else(|| io::Error::other("it has no such request"))?;
        let mut command = Command::new(&self.program);
        command
            .arg0(self.product.name())
            .args(self.product.arguments(place.port, service))
            .args(&place.arguments)
            .args(&self.more_arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let scraped_port = self
            .is_scraped
            .then(free_addr)
            .transpose()?
            .map(|addr| addr.port());
        if let Some(port) = scraped_port {
            command.args(["--http-port", &port.to_string()]);
        }
        let start = Instant::now();
        let child = cores.spawn_server(|| command.spawn())?;
        let mut server = Server {
            name: self.name.clone(),
            place,
            exchanges,
            scraper: None,
            child,
            watchdog: None,
        };
        server.wait_until_it_answers(start + PATIENCE)?;
        let time = start.elapsed();
        server.watchdog = Some(watchdog(server.id())?);
        server.scraper = scraped_port.map(Scraper::start).transpose()?;
        Ok((server, time))
    }

    /// Returns whether this server has the transport and the requests of `service`.
    pub(crate) fn can_provide(&self, service: Service) -> bool {
        self.product.listens_on(service.transport) && self.exchanges(service.ping).is_some()
    }

    /// Returns how this server is asked; `None` if it has no such requests.
    fn exchanges(&self, ping: Ping) -> Option<Vec<Exchange>> {
        match (self.product, ping) {
            (Product::Memcached, _) => Some(vec![ping.memcached_exchange(&self.version)?]),
            // They count bytes, so all requests must have the same length.
            (Product::Bare | Product::BarePair, Ping::Mixed) => None,
            _ => Some(ping.exchanges()),
        }
    }
}

impl Server {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the first request of every connection.
    pub(crate) fn first_exchange(&self) -> &Exchange {
        &self.exchanges[0]
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.place.endpoint
    }

    fn wait_until_it_answers(&mut self, deadline: Instant) -> io::Result<()> {
        loop {
            if let Ok(connection) = self.place.endpoint.connect() {
                return ask(&mut be_patient(connection)?, self.first_exchange());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "it ended before it answered: {status}"
                )));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other("it does not listen"));
            }
            // Short in comparison with the time that a server takes to start.
            thread::sleep(Duration::from_micros(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.scraper.take());
        // The watchdog ends first. After `wait` another process may have the server's id.
        for child in self.watchdog.iter_mut().chain([&mut self.child]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a shell that kills the server if this process ends without dropping it: then the shell's
/// input ends.
fn watchdog(server: u32) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", "read -r _; kill -s KILL \"$0\"", &server.to_string()])
        // Ctrl-C reaches the servers, but not the watchdog.
        .process_group(0)
        .stdin(Stdio::piped())
        .spawn()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn the_watchdog_kills_when_its_input_ends() {
        let mut server = Command::new("sleep").arg("30").spawn().expect("it runs");
        let mut watchdog = watchdog(server.id()).expect("it runs");
        drop(watchdog.stdin.take());
        let status = server.wait().expect("it is a child");
        assert_eq!(status.signal(), Some(9));
        watchdog.wait().expect("it is a child");
    }
}
