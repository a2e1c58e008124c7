//! The sources of the program's configuration: a file, the command line and the environment. The
//! library does not need them, nor toml, strsim and clap.

mod advice;
mod command_line;
mod differences;
mod error;
mod explain;
mod file;
mod mistake;
mod nearest;
mod notation;
mod password;
mod settings;
#[cfg(test)]
mod tests;

pub use command_line::{CommandLine, Loaded};
pub use error::ConfigError;
pub use password::exposure;
