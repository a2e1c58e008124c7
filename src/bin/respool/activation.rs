//! Listening sockets from the service manager: systemd's socket activation, see
//! `sd_listen_fds(3)`.
//!
//! If there are any, the server listens on no other socket for clients, as gunicorn and
//! `Server::from_listeners` do: an operator who names sockets in a unit does not expect that port
//! 6379 is open, too.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::{env, process};

use listenfd::ListenFd;
use socket2::SockRef;

use respool::{Config, Listener};

/// A socket that was handed over.
#[derive(Debug)]
pub(super) struct Handed {
    /// The descriptor and its name, for errors.
    title: String,
    name: String,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener, SocketAddr),
    /// The path, or `@` and a name in the abstract namespace.
    Unix(UnixListener, PathBuf),
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Plain,
    Tls,
    Unix,
    Http,
}

/// The sockets by their purpose.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub(super) clients: Vec<Listener>,
    pub(super) http: Vec<TcpListener>,
    /// The addresses of those for clients.
    pub(super) plain: Vec<SocketAddr>,
    pub(super) tls: Vec<SocketAddr>,
    pub(super) unix: Option<PathBuf>,
}

/// Takes the sockets that are for this process, and removes the variables about them: no other
/// thread may run yet. listenfd turns numbers into sockets, which is unsafe otherwise; it knows
/// neither names nor whether a socket listens.
pub(super) fn take() -> Result<Vec<Handed>, String> {
    let is_ours = |pid: String| pid.parse() == Ok(process::id());
    // listenfd would take them without LISTEN_PID, too.
    if !env::var("LISTEN_PID").is_ok_and(is_ours) {
        return Ok(Vec::new());
    }
    let Some(count) = env::var_os("LISTEN_FDS") else {
        return Ok(Vec::new());
    };
    let count = count.to_string_lossy();
    match count.parse::<u16>() {
        Ok(0) => return Ok(Vec::new()),
        Ok(_) => {}
        // listenfd would take it for 0, and the server would open sockets of its own.
        Err(_) => {
            return Err(format!(
                "LISTEN_FDS is {count:?}, which is no number of descriptors"
            ));
        }
    }
    let names = env::var("LISTEN_FDNAMES").ok();
    let mut descriptors = ListenFd::from_env();
    let count = descriptors.len();
    let names: Vec<_> = match &names {
        Some(names) => names.split(':').collect(),
        None => vec![""; count],
    };
    if names.len() != count {
        return Err(format!(
            "LISTEN_FDNAMES names {} descriptors, but LISTEN_FDS is {count}",
            names.len()
        ));
    }
    let names = names.into_iter().enumerate();
    names
        .map(|(index, name)| Handed::take(&mut descriptors, index, name))
        .collect()
}

impl Handed {
    fn take(descriptors: &mut ListenFd, index: usize, name: &str) -> Result<Self, String> {
        // The first one is 3.
        let number = index + 3;
        let title = if name.is_empty() {
            format!("descriptor {number} of the service manager")
        } else {
            format!("descriptor {number} of the service manager, {name:?},")
        };
        let tcp = descriptors.take_tcp_listener(index).ok().flatten();
        let unix = descriptors.take_unix_listener(index).ok().flatten();
        let socket = match (tcp, unix) {
            (Some(tcp), _) if listens(&tcp) => {
                tcp.local_addr().ok().map(|addr| Socket::Tcp(tcp, addr))
            }
            (_, Some(unix)) if listens(&unix) => {
                let path = path_of(&unix);
                Some(Socket::Unix(unix, path))
            }
            (_, _) => None,
        };
        let name = name.to_owned();
        match socket {
            Some(socket) => Ok(Self {
                title,
                name,
                socket,
            }),
            None => Err(format!("{title} is not a TCP or Unix socket that listens")),
        }
    }

    /// Returns what the socket is for: by its name or, without one of ours, by its kind and port.
    fn purpose(&self, config: &Config) -> Result<Purpose, String> {
        let by_port = self.purpose_by_port(config);
        let purpose = match &*self.name {
            "plain" => Purpose::Plain,
            "tls" => Purpose::Tls,
            "unix" => Purpose::Unix,
            "http" => Purpose::Http,
            // Without `FileDescriptorName`, the name is that of the unit.
            _ => by_port,
        };
        let has_certificate = config.tls_cert_file.is_some() && config.tls_key_file.is_some();
        let title = &self.title;
        match (purpose, by_port) {
            (Purpose::Unix, Purpose::Plain | Purpose::Tls | Purpose::Http) => {
                Err(format!("{title} is a TCP socket"))
            }
            (Purpose::Plain | Purpose::Tls | Purpose::Http, Purpose::Unix) => {
                Err(format!("{title} is a Unix socket"))
            }
            (Purpose::Plain | Purpose::Http, Purpose::Tls) => Err(format!(
                "{title} listens on `tls-port`; its name would be \"tls\""
            )),
            (Purpose::Tls, _) if !cfg!(feature = "tls") => {
                Err(format!("{title} is for TLS, which this build lacks"))
            }
            (Purpose::Tls, _) if !has_certificate => Err(format!(
                "{title} needs a certificate: set `tls-cert-file` and `tls-key-file`"
            )),
            (purpose, _) => Ok(purpose),
        }
    }

    fn purpose_by_port(&self, config: &Config) -> Purpose {
        let Socket::Tcp(_, addr) = &self.socket else {
            return Purpose::Unix;
        };
        let is_port = |wanted: u16| wanted != 0 && addr.port() == wanted;
        if is_port(config.tls_port) {
            Purpose::Tls
        } else if is_port(config.http_port) {
            Purpose::Http
        } else {
            Purpose::Plain
        }
    }
}

impl Sockets {
    /// Sorts the sockets by their purpose.
    pub(super) fn sort(handed: Vec<Handed>, config: &Config) -> Result<Self, String> {
        let mut sockets = Self::default();
        let mut places: Vec<(String, String)> = Vec::new();
        for handed in handed {
            let place = match &handed.socket {
                Socket::Tcp(_, addr) => addr.to_string(),
                Socket::Unix(_, path) => path.display().to_string(),
            };
            if let Some((_, other)) = places.iter().find(|(other, _)| *other == place) {
                return Err(format!(
                    "{} listens on {place} as well as {other}",
                    handed.title
                ));
            }
            let purpose = handed.purpose(config)?;
            places.push((place, handed.title));
            sockets.add(handed.socket, purpose);
        }
        if sockets.clients.is_empty() {
            let reason = "the service manager has handed over no socket for clients; name one \
                          \"plain\", \"tls\" or \"unix\"";
            return Err(reason.into());
        }
        Ok(sockets)
    }

    fn add(&mut self, socket: Socket, purpose: Purpose) {
        match socket {
            Socket::Tcp(tcp, addr) => match purpose {
                Purpose::Tls => {
                    self.tls.push(addr);
                    self.clients.push(for_tls(tcp));
                }
                Purpose::Http => self.http.push(tcp),
                Purpose::Plain | Purpose::Unix => {
                    self.plain.push(addr);
                    self.clients.push(tcp.into());
                }
            },
            Socket::Unix(unix, path) => {
                self.unix = Some(path);
                self.clients.push(unix.into());
            }
        }
    }
}

#[cfg(feature = "tls")]
fn for_tls(socket: TcpListener) -> Listener {
    Listener::Tls(socket)
}

/// Never called: see [`Handed::purpose`].
#[cfg(not(feature = "tls"))]
fn for_tls(socket: TcpListener) -> Listener {
    socket.into()
}

fn path_of(unix: &UnixListener) -> PathBuf {
    let Ok(addr) = SockRef::from(unix).local_addr() else {
        return PathBuf::new();
    };
    match (addr.as_pathname(), addr.as_abstract_namespace()) {
        (Some(path), _) => path.into(),
        (None, Some(name)) => format!("@{}", String::from_utf8_lossy(name)).into(),
        (None, None) => PathBuf::new(),
    }
}

/// Whether `listen` was called on the socket.
#[cfg(target_os = "linux")]
fn listens(socket: &impl AsFd) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket) == Ok(true)
}

/// Systemd runs on Linux only, so there is no check for other systems, of which some have none.
#[cfg(not(target_os = "linux"))]
fn listens(_: &impl AsFd) -> bool {
    true
}
