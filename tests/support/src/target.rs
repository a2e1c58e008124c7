//! What cargo has built.

use std::env;
use std::path::{Path, PathBuf};

/// Returns the path of the program. For a test that needs the feature `cli`, cargo builds the
/// program first and puts it beside the folder `deps` of the tests.
pub fn program() -> PathBuf {
    let program = profile_folder().join("respool");
    assert!(program.is_file(), "{} is missing", program.display());
    program
}

/// Returns `target/debug`, or the folder of another profile.
fn profile_folder() -> PathBuf {
    let test = env::current_exe().expect("a test is a file");
    let folder = test.parent().and_then(Path::parent);
    folder.expect("cargo puts tests into `deps`").to_owned()
}

/// Returns `target`, or the folder that stands for it.
pub fn folder() -> PathBuf {
    let folder = profile_folder();
    folder.parent().expect("it is below `target`").to_owned()
}
