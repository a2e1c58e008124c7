//! Where the program has its configuration from: a file and the command line.

mod command_line;
mod file;

pub use command_line::CommandLine;
pub use file::ConfigError;
