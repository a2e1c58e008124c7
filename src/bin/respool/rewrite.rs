//! CONFIG REWRITE: the operator's file is made to say what is in force. Values change in their
//! places; everything else in the file, every comment and blank, stays as it is.
//!
//! The file is replaced at once by a new one that was written, read back and found right beside it.
//! Whatever fails before leaves the old one untouched.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process;

use respool::Config;
use respool::config::{self, ConfigError};

use crate::edit::edited;

/// Why the file stays as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum RewriteError {
    /// What stands in the file was changed since, and is no configuration any more.
    #[error(transparent)]
    Mistake(#[from] ConfigError),
    /// It was TOML when it was read just before. The parser's text would show a line of it.
    #[error("{} was changed at the same time and is not TOML", .0.display())]
    NotToml(PathBuf),
    #[error("cannot read {}: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    /// A device or a pipe, say, which must not be replaced by a file.
    #[error("{} is not a regular file", .0.display())]
    Irregular(PathBuf),
    #[error("cannot write {}: {source}", file.display())]
    Unwritable { file: PathBuf, source: io::Error },
    /// Someone else has changed the file at the same time.
    #[error("the new file would not have the current configuration")]
    Wrong,
}

/// Has `file` say what `config` says. A file that is no more is written anew. If the password is a
/// secret from outside the file, the file keeps the password that it has, or none.
///
/// Returns a warning if everybody can read the file, and it holds a password.
pub(super) fn rewrite(
    file: &Path,
    config: &Config,
    password_is_secret: bool,
) -> Result<Option<String>, RewriteError> {
    let unreadable = |source| RewriteError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let is_gone = |error: &io::Error| {
        // A link to what is no more is not gone itself, and is left alone.
        error.kind() == ErrorKind::NotFound && fs::symlink_metadata(file).is_err()
    };
    let (file, text, said) = match fs::canonicalize(file) {
        Err(error) if is_gone(&error) => (file.to_owned(), String::new(), Config::default()),
        Err(error) => return Err(unreadable(error)),
        Ok(target) => {
            if !fs::metadata(&target).map_err(unreadable)?.is_file() {
                return Err(RewriteError::Irregular(target));
            }
            let said = Config::from_file(&target)?;
            let text = fs::read_to_string(&target).map_err(unreadable)?;
            (target, text, said)
        }
    };
    let stays = |key: &str| {
        // Two sources of the password in one file would contradict each other.
        let has_one = said.requirepass.is_some();
        password_is_secret && (key == "requirepass" || (key == "requirepass-file" && has_one))
    };
    let differences: Vec<_> = config
        .differences(&said)
        .filter(|(key, _)| !stays(key))
        .collect();
    let mut now = said.clone();
    if !differences.is_empty() {
        let text = edited(&text, &differences).map_err(|_| RewriteError::NotToml(file.clone()))?;
        replace(&file, &text, |new| {
            now = Config::from_file(new)?;
            let mut new = now.clone();
            if password_is_secret {
                new.requirepass.clone_from(&config.requirepass);
                new.requirepass_file.clone_from(&config.requirepass_file);
            }
            let is_right = new == *config;
            is_right.then_some(()).ok_or(RewriteError::Wrong)
        })?;
    }
    let holds_password = now.requirepass.is_some() && now.requirepass_file.is_none();
    Ok(holds_password.then(|| config::exposure(&file)).flatten())
}

/// Replaces `file`, which is no link, by one with this text, unless `check` refuses that.
fn replace(
    file: &Path,
    text: &str,
    check: impl FnOnce(&Path) -> Result<(), RewriteError>,
) -> Result<(), RewriteError> {
    let new = Beside::new(file);
    let unwritable = |source| RewriteError::Unwritable {
        file: new.path.clone(),
        source,
    };
    new.write(text, fs::metadata(file).ok().as_ref())
        .map_err(unwritable)?;
    check(&new.path)?;
    fs::rename(&new.path, file).map_err(|source| RewriteError::Unwritable {
        file: file.to_owned(),
        source,
    })?;
    // The new name reaches the disk with its folder. Where that cannot be had, a crash of the
    // machine may bring back the old file, whole.
    if let Some(folder) = file.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// A file that is to take the place of another one in the same folder, because only there a rename
/// is one step. Removed when dropped, if it has not.
struct Beside {
    path: PathBuf,
}

impl Beside {
    /// Picks a name, which no other process picks.
    fn new(file: &Path) -> Self {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let name = format!(".{name}.{}.tmp", process::id());
        Self {
            path: file.with_file_name(name),
        }
    }

    /// Writes `text` to the disk, for those who may read and write the `old` file.
    fn write(&self, text: &str, old: Option<&fs::Metadata>) -> io::Result<()> {
        // One that a process of the same number has left behind when it crashed.
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // There may be a password in it, so until we know better, it is ours alone.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.path)?;
        file.write_all(text.as_bytes())?;
        if let Some(old) = old {
            // Not everybody may give a file away; the one who reads it next is us.
            let _ = fchown(&file, None, Some(old.gid()));
            let _ = fchown(&file, Some(old.uid()), None);
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A folder that is removed with all that is in it.
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
    fn the_file_says_what_is_in_force_and_keeps_its_permissions() {
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

        // Only root may give files away.
        if chown(&file, Some(1), Some(2)).is_ok() {
            rewrite(&file, &with_timeout(5), false).unwrap();
            let new = fs::metadata(&file).unwrap();
            assert_eq!((new.uid(), new.gid(), new.mode() & 0o777), (1, 2, 0o604));
        }
    }

    #[test]
    fn a_file_that_says_it_already_is_not_written() {
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
    fn a_file_that_is_gone_is_written_anew_for_us_alone() {
        let folder = Folder::new("gone");
        let file = folder.0.join("a.toml");
        rewrite(&file, &with_timeout(5), false).unwrap();
        assert_eq!(Config::from_file(&file).unwrap(), with_timeout(5));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_left_of_a_crash_is_no_hindrance() {
        let folder = Folder::new("crash");
        let file = folder.0.join("a.toml");
        fs::write(Beside::new(&file).path.clone(), "half of a f").unwrap();
        rewrite(&file, &with_timeout(5), false).unwrap();
        assert_eq!(folder.names(), ["a.toml"]);
    }

    #[test]
    fn a_file_that_would_be_wrong_takes_no_place_and_leaves_nothing_behind() {
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
    fn a_file_with_a_mistake_is_left_alone() {
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
    fn what_is_no_regular_file_is_not_replaced() {
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
