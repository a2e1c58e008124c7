//! The program: command line, files, signals, log.

mod command_line;
mod processes;
mod secrets;
mod stalled_log;
