//! CONFIG REWRITE: writes the current configuration to the operator's file. Only values change;
//! comments and blanks stay.
//!
//! A temporary file in the same folder is written, read back and checked, and then renamed. If
//! anything fails, the old file stays.
//!
//! The crate tempfile would save 20 lines, and add 3 s of CPU time to a cold build.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process;

use respool::Config;
use respool::config::{self, ConfigError};

use crate::edit::edited;

/// The reason why the file was not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RewriteError {
    /// The file has a mistake that it did not have when the server read it.
    #[error(transparent)]
    Mistake(#[from] ConfigError),
    /// The file changed between two reads. The parser's error is left out, because it shows a line.
    #[error("{} was changed at the same time and is not TOML", .0.display())]
    NotToml(PathBuf),
    #[error("cannot read {}: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    /// A device or a pipe, which a file must not replace.
    #[error("{} is not a regular file", .0.display())]
    Irregular(PathBuf),
    #[error("cannot write {}: {source}", file.display())]
    Unwritable { file: PathBuf, source: io::Error },
    /// Another process changed the file at the same time.
    #[error("the new file would not have the current configuration")]
    Wrong,
}

impl RewriteError {
    fn unreadable(file: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Unreadable {
            file: file.to_owned(),
            source,
        }
    }

    fn unwritable(file: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Unwritable {
            file: file.to_owned(),
            source,
        }
    }
}

/// Writes `config` to `file`, and creates the file if it is missing. If the password is secret,
/// because it has another source than the file, leaves the file's own password as it is.
///
/// Returns a warning if the file contains a password and every user can read it.
pub(super) fn rewrite(
    file: &Path,
    config: &Config,
    password_is_secret: bool,
) -> Result<Option<String>, RewriteError> {
    let old = Old::read(file)?;
    let stays = |key: &str| {
        // A file with two sources of the password is a mistake.
        let has_password = old.config.requirepass.is_some();
        password_is_secret && (key == "requirepass" || (key == "requirepass-file" && has_password))
    };
    let differences: Vec<_> = config
        .differences(&old.config)
        .filter(|(key, _)| !stays(key))
        .collect();
    let mut written = old.config.clone();
    if !differences.is_empty() {
        let text = edited(&old.text, &differences);
        let text = text.map_err(|_| RewriteError::NotToml(old.file.clone()))?;
        replace(&old.file, &text, |new| {
            written = Config::from_file(new)?;
            let mut expected = config.clone();
            if password_is_secret {
                expected.requirepass.clone_from(&written.requirepass);
                expected
                    .requirepass_file
                    .clone_from(&written.requirepass_file);
            }
            (written == expected)
                .then_some(())
                .ok_or(RewriteError::Wrong)
        })?;
    }
    let has_password = written.requirepass.is_some() && written.requirepass_file.is_none();
    Ok(has_password.then(|| config::exposure(&old.file)).flatten())
}

/// The file before the rewrite.
struct Old {
    /// Its path, without symbolic links.
    file: PathBuf,
    text: String,
    config: Config,
}

impl Old {
    /// Reads the file; a missing one is empty.
    fn read(file: &Path) -> Result<Self, RewriteError> {
        // A link to a missing file is not missing itself, and stays.
        let is_missing = |error: &io::Error| {
            error.kind() == ErrorKind::NotFound && fs::symlink_metadata(file).is_err()
        };
        let unreadable = RewriteError::unreadable(file);
        let target = match fs::canonicalize(file) {
            Err(error) if is_missing(&error) => {
                return Ok(Self {
                    file: file.to_owned(),
                    text: String::new(),
                    config: Config::default(),
                });
            }
            target => target.map_err(&unreadable)?,
        };
        if !fs::metadata(&target).map_err(&unreadable)?.is_file() {
            return Err(RewriteError::Irregular(target));
        }
        Ok(Self {
            config: Config::from_file(&target)?,
            text: fs::read_to_string(&target).map_err(&unreadable)?,
            file: target,
        })
    }
}

/// Replaces `file`, which is not a link, by one with this text, unless `check` fails for the new
/// file.
fn replace(
    file: &Path,
    text: &str,
    check: impl FnOnce(&Path) -> Result<(), RewriteError>,
) -> Result<(), RewriteError> {
    let new = Temporary::beside(file);
    new.write(text, fs::metadata(file).ok().as_ref())
        .map_err(RewriteError::unwritable(&new.path))?;
    check(&new.path)?;
    fs::rename(&new.path, file).map_err(RewriteError::unwritable(file))?;
    // Writes the rename to the disk. If that fails, the old file may return after a crash.
    if let Some(folder) = file.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// A temporary file in the folder of another one, because a rename is atomic only there. Removed on
/// drop, unless it was renamed.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Chooses a name that no other process chooses.
    fn beside(file: &Path) -> Self {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let name = format!(".{name}.{}.tmp", process::id());
        Self {
            path: file.with_file_name(name),
        }
    }

    /// Writes `text` to the disk, with the owner and permissions of the `old` file.
    fn write(&self, text: &str, old: Option<&fs::Metadata>) -> io::Result<()> {
        // A process with the same number may have left it when it crashed.
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // It may contain a password, so only this user may read it until the permissions are set.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.path)?;
        file.write_all(text.as_bytes())?;
        if let Some(old) = old {
            // Only root may change the owner.
            let _ = fchown(&file, None, Some(old.gid()));
            let _ = fchown(&file, Some(old.uid()), None);
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A folder, removed with its files on drop.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("respool-rewrite-{}-{name}", process::id());
            let folder = Self(std::env::temp_dir().join(name));
            fs::create_dir(&folder.0).unwrap();
            folder
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn with_timeout(timeout_s: u32) -> Config {
        Config {
            timeout_s,
            ..Config::default()
        }
    }

    #[test]
    fn rewritten_file_keeps_its_permissions_and_owner() {
        let folder = Folder::new("permissions");
        let file = folder.0.join("a.toml");
        fs::write(&file, "timeout = 1\n").unwrap();
        for mode in [0o640, 0o604] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            rewrite(&file, &with_timeout(mode), false).unwrap();
            let text = fs::read_to_string(&file).unwrap();
            assert_eq!(text, format!("timeout = {mode}\n"));
            assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, mode);
        }
        assert_eq!(folder.names(), ["a.toml"]);

        // Only root may change the owner.
        if chown(&file, Some(1), Some(2)).is_ok() {
            rewrite(&file, &with_timeout(5), false).unwrap();
            let new = fs::metadata(&file).unwrap();
            assert_eq!((new.uid(), new.gid(), new.mode() & 0o777), (1, 2, 0o604));
        }
    }

    #[test]
    fn file_without_differences_is_not_written() {
        let folder = Folder::new("same");
        let file = folder.0.join("a.toml");
        fs::write(&file, "timeout = 5").unwrap();
        let number = fs::metadata(&file).unwrap().ino();
        rewrite(&file, &with_timeout(5), false).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().ino(), number);
        rewrite(&file, &with_timeout(6), false).unwrap();
        assert_ne!(fs::metadata(&file).unwrap().ino(), number, "another file");
    }

    #[test]
    fn missing_file_is_created_for_this_user_alone() {
        let folder = Folder::new("gone");
        let file = folder.0.join("a.toml");
        rewrite(&file, &with_timeout(5), false).unwrap();
        assert_eq!(Config::from_file(&file).unwrap(), with_timeout(5));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn temporary_file_of_a_crash_is_replaced() {
        let folder = Folder::new("crash");
        let file = folder.0.join("a.toml");
        fs::write(&Temporary::beside(&file).path, "half of a f").unwrap();
        rewrite(&file, &with_timeout(5), false).unwrap();
        assert_eq!(folder.names(), ["a.toml"]);
    }

    #[test]
    fn failed_check_keeps_the_old_file_and_removes_the_new() {
        let folder = Folder::new("wrong");
        let file = folder.0.join("a.toml");
        fs::write(&file, "old").unwrap();
        let wrong = replace(&file, "new", |new| {
            assert_eq!(fs::read_to_string(new).unwrap(), "new");
            Err(RewriteError::Wrong)
        });
        assert!(matches!(wrong, Err(RewriteError::Wrong)));
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        assert_eq!(folder.names(), ["a.toml"]);
    }

    #[test]
    fn file_with_a_mistake_is_not_changed() {
        let folder = Folder::new("mistake");
        let file = folder.0.join("a.toml");
        fs::write(&file, "prot = 1\n").unwrap();
        let error = rewrite(&file, &with_timeout(5), false)
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("did you mean `port`?"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "prot = 1\n");
    }

    #[test]
    fn sockets_and_broken_links_are_not_replaced() {
        let folder = Folder::new("socket");
        let file = folder.0.join("socket");
        let _socket = UnixListener::bind(&file).unwrap();
        let error = rewrite(&file, &with_timeout(5), false)
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("socket is not a regular file"), "{error}");
        let link = folder.0.join("link");
        std::os::unix::fs::symlink("nothing", &link).unwrap();
        let error = rewrite(&link, &with_timeout(5), false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("link: No such file"), "{error}");
        assert_eq!(folder.names(), ["link", "socket"]);
    }
}
