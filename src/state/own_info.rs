//! The program's own data in INFO, DBSIZE and the metrics.

use std::fmt;

/// The declarations of the program.
#[derive(Default)]
pub(crate) struct OwnInfo {
    pub(crate) sections: Vec<Section>,
    pub(crate) keyspace: Option<Box<Keyspace>>,
    pub(crate) is_cluster: bool,
}

/// A section of INFO.
pub(crate) struct Section {
    pub(crate) name: Box<str>,
    pub(crate) fields: Box<Fields>,
}

type Fields = dyn Fn() -> Vec<(String, String)> + Send + Sync;

/// Returns the databases that have keys: the number of each, its keys, and how many expire.
type Keyspace = dyn Fn() -> Vec<(u8, u64, u64)> + Send + Sync;

impl OwnInfo {
    /// Returns the databases that have keys; none if the program has not declared any.
    pub(crate) fn databases(&self) -> Vec<(u8, u64, u64)> {
        let mut databases = self
            .keyspace
            .as_ref()
            .map_or_else(Vec::new, |count| count());
        databases.retain(|&(_, keys, _)| keys > 0);
        databases
    }

    /// Returns Redis's word for the way the server runs.
    pub(crate) fn mode(&self) -> &'static str {
        if self.is_cluster {
            "cluster"
        } else {
            "standalone"
        }
    }
}

/// Omits the closures.
impl fmt::Debug for OwnInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.sections.iter().map(|section| &section.name);
        f.debug_struct("OwnInfo")
            .field("sections", &names.collect::<Vec<_>>())
            .field("is_cluster", &self.is_cluster)
            .finish_non_exhaustive()
    }
}
