//! The certificates in force. Each new TLS connection takes them; the configuration and changed
//! files replace them.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Config;
use crate::net::certificates::{self, Mistake, ServerConfig, Stamp};

/// The certificates in force, if there are any.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// Whether a socket speaks TLS.
    pub(super) are_needed: bool,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    tls: Option<Arc<ServerConfig>>,
    source: Source,
}

#[derive(Debug, Default)]
enum Source {
    #[default]
    None,
    /// The files of the configuration, which were in this state.
    Files(Stamp),
    /// The program that runs the server. Files then have no effect.
    #[cfg_attr(
        not(feature = "tls"),
        expect(dead_code, reason = "no `Server::with_tls`")
    )]
    Program,
}

/// Certificates that are loaded and not in force yet.
pub(super) struct Loaded {
    tls: Arc<ServerConfig>,
    stamp: Stamp,
    file: PathBuf,
}

impl Loaded {
    /// Loads the files that `config` names. Waits for the disk.
    pub(super) fn of(config: &Config) -> Result<Self, Mistake> {
        let stamp = Stamp::of(config);
        let tls = certificates::load(config)?;
        Ok(Self {
            tls: Arc::new(tls),
            stamp,
            file: config.tls_cert_file.clone().unwrap_or_default(),
        })
    }
}

impl Certificates {
    pub(super) fn new(are_needed: bool) -> Self {
        let current = Mutex::default();
        Self {
            are_needed,
            current,
        }
    }

    /// Returns the certificates for a new connection.
    pub(crate) fn current(&self) -> Option<Arc<ServerConfig>> {
        self.current.lock().tls.clone()
    }

    /// Puts loaded certificates into force. Returns a line for the log if they replace others: the
    /// caller may hold a lock.
    pub(super) fn replace(&self, loaded: Loaded) -> Option<String> {
        let mut current = self.current.lock();
        let has_changed = matches!(&current.source, Source::Files(stamp) if *stamp != loaded.stamp);
        current.tls = Some(loaded.tls);
        current.source = Source::Files(loaded.stamp);
        let file = loaded.file.display();
        has_changed.then(|| format!("certificates loaded: new clients get the one in {file}"))
    }

    /// Puts the program's own configuration into force, for good. Without early data: who recorded
    /// it could send the requests again.
    #[cfg(feature = "tls")]
    pub(super) fn take_from_program(&self, mut tls: Arc<ServerConfig>) {
        if tls.max_early_data_size > 0 {
            Arc::make_mut(&mut tls).max_early_data_size = 0;
        }
        *self.current.lock() = Current {
            tls: Some(tls),
            source: Source::Program,
        };
    }

    pub(super) fn are_of_program(&self) -> bool {
        matches!(self.current.lock().source, Source::Program)
    }

    /// Returns whether the files in this state have been loaded.
    pub(super) fn have(&self, stamp: &Stamp) -> bool {
        matches!(&self.current.lock().source, Source::Files(loaded) if loaded == stamp)
    }
}
