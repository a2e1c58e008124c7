//! Files and folders of one test.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::target;

/// A path below `target`, or in the system's folder for temporary files. Removed on drop, a folder
/// with its content.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A path with nothing there.
    pub fn unused() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: only the numbers must differ.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = target::folder().join("tmp");
        fs::create_dir_all(&folder).expect("`target` can be written");
        Self(folder.join(format!("{}-{number}", process::id())))
    }

    /// A file with this text.
    pub fn file(text: &str) -> Self {
        let scratch = Self::unused();
        scratch.write(text);
        scratch
    }

    /// An empty folder.
    pub fn folder() -> Self {
        let scratch = Self::unused();
        fs::create_dir(&scratch.0).expect("a folder can be made");
        scratch
    }

    /// An empty folder for Unix sockets, whose paths must be short.
    pub fn for_sockets() -> Self {
        let unused = Self::unused();
        let name = unused.0.file_name().expect("it has one").to_string_lossy();
        let scratch = Self(env::temp_dir().join(format!("respool-{name}")));
        fs::create_dir(&scratch.0).expect("a folder can be made");
        scratch
    }

    /// A FIFO.
    pub fn fifo() -> Self {
        let scratch = Self::unused();
        make_fifo(&scratch.0);
        scratch
    }

    /// Writes a file in the folder, readable by its owner alone. Makes the folders above it.
    pub fn file_in(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        let folder = path.parent().expect("it is in this folder");
        fs::create_dir_all(folder).expect("a folder can be made");
        fs::write(&path, text).expect("a file can be written");
        let owner_only = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&path, owner_only).expect("it is ours");
        path
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the path as an argument.
    pub fn arg(&self) -> &str {
        self.0.to_str().expect("`target` has a name in UTF-8")
    }

    pub fn write(&self, text: &str) {
        fs::write(&self.0, text).expect("a file can be written");
    }

    pub fn read(&self) -> String {
        fs::read_to_string(&self.0).expect("there is a file")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = if self.0.is_dir() && !self.0.is_symlink() {
            fs::remove_dir_all(&self.0)
        } else {
            fs::remove_file(&self.0)
        };
    }
}

/// Makes a FIFO.
pub fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo")
        .arg(path)
        .stdin(Stdio::null())
        .status();
    assert!(made.expect("there is mkfifo").success());
}
