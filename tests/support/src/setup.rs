//! Installed clients: found on this machine, or installed into a cache outside the tree, in the
//! exact versions and hashes of the files in `tests/external/pins`.
//!
//! Those files are made by
//!
//! ```console
//! $ uv pip compile --universal --python-version 3.10 --generate-hashes --no-header --no-annotate -
//! $ npm install --package-lock-only --omit-lockfile-registry-resolved
//! ```
//!
//! The second also writes addresses for donations, which are removed.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Duration;

use parking_lot::Mutex;

use crate::PATIENCE;
use crate::case::{NotRun, print};
use crate::process::{Ended, Process};

/// Returns the path of a program in PATH or in root's folder.
pub fn installed(program: &str) -> Result<PathBuf, NotRun> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| NotRun(format!("{program} is not installed")))
}

/// Returns the first word with a digit in front that a program prints about its version.
pub fn version(program: &str, flag: &str) -> String {
    let printed = installed(program).and_then(|program| {
        let ended = ended_with_success(Command::new(program).arg(flag), PATIENCE)?;
        // nginx and stunnel print it as an error.
        Ok([ended.stdout, ended.stderr].concat())
    });
    let printed = printed.unwrap_or_default();
    // nginx prints `nginx/1.22.1`.
    let mut words = printed.split([' ', '\t', '\n', '/']);
    let version = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    version.unwrap_or("(none)").to_owned()
}

/// Returns the folder with the Python packages of `pins/{pin}.txt`.
pub fn python(pin: &'static str) -> Result<PathBuf, NotRun> {
    once(pin, || {
        let python = installed("python3")?;
        printed_by(Command::new(&python).args(["-m", "pip", "--version"]))?;
        // Compiled packages fit one version on one platform.
        let platform = "import sys, sysconfig; print(sys.version, sysconfig.get_platform())";
        let platform = printed_by(Command::new(&python).args(["-c", platform]))?;
        let file = pins().join(format!("{pin}.txt"));
        let key = [read(&file)?, platform.into_bytes()].concat();
        cached(&key, pin, |folder| {
            // Nothing is compiled: without a wheel for this platform, the client is not run.
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--retries", "1"])
                .args(["--require-hashes", "--only-binary=:all:", "--no-deps", "-r"])
                .arg(&file)
                .arg("--target")
                .arg(folder);
            Ok(pip)
        })
    })
}

/// Returns the folder whose `node_modules` has the packages of `pins/package-lock.json`.
pub fn node() -> Result<PathBuf, NotRun> {
    once("the clients of Node", || {
        let platform = "`${process.platform} ${process.arch}`";
        let platform = printed_by(Command::new(installed("node")?).args(["-p", platform]))?;
        let npm = installed("npm")?;
        let files = ["package.json", "package-lock.json"].map(|name| pins().join(name));
        let [manifest, lock] = [read(&files[0])?, read(&files[1])?];
        let key = [manifest, lock, platform.into_bytes()].concat();
        cached(&key, "the clients of Node", |folder| {
            for file in &files {
                let name = file.file_name().unwrap_or_default();
                fs::copy(file, folder.join(name)).map_err(|error| NotRun(error.to_string()))?;
            }
            let mut command = Command::new(npm);
            command
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .args(["--fetch-retries=1", "--loglevel=error"])
                .current_dir(folder);
            Ok(command)
        })
    })
}

/// Returns the result of the first `set_up` with this name. One runs at a time.
fn once(
    name: &'static str,
    set_up: impl FnOnce() -> Result<PathBuf, NotRun>,
) -> Result<PathBuf, NotRun> {
    static DONE: Mutex<Option<HashMap<&str, Result<PathBuf, NotRun>>>> = Mutex::new(None);
    let mut done = DONE.lock();
    let done = done.get_or_insert_default();
    done.entry(name).or_insert_with(set_up).clone()
}

/// Returns the cached folder of `key`. If there is none, runs the command of `install` in a draft,
/// and renames it after success.
fn cached(
    key: &[u8],
    what: &str,
    install: impl FnOnce(&Path) -> Result<Command, NotRun>,
) -> Result<PathBuf, NotRun> {
    let folder = cache()?.join(format!("{:016x}", hash(key)));
    if folder.is_dir() {
        return Ok(folder);
    }
    print(&format!("installs {what} into {}", folder.display()));
    let draft = folder.with_extension(format!("draft-{}", process::id()));
    let filled = fs::create_dir_all(&draft)
        .map_err(|error| NotRun(format!("{}: {error}", draft.display())))
        .and_then(|()| install(&draft))
        .and_then(|mut command| ended_with_success(&mut command, INSTALL_PATIENCE));
    let kept = filled.and_then(|_| match fs::rename(&draft, &folder) {
        // Another process may have made it.
        Err(error) if !folder.is_dir() => Err(NotRun(error.to_string())),
        _ => Ok(folder),
    });
    // Already renamed after success.
    let _ = fs::remove_dir_all(&draft);
    kept
}

fn cache() -> Result<PathBuf, NotRun> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let caches = caches.ok_or_else(|| NotRun("there is no home for a cache".to_owned()))?;
    Ok(caches.join("respool").join("interop"))
}

/// FNV-1a: short, and stable between Rust versions.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Returns the output of a short command.
fn printed_by(command: &mut Command) -> Result<String, NotRun> {
    Ok(ended_with_success(command, PATIENCE)?.stdout)
}

fn ended_with_success(command: &mut Command, within: Duration) -> Result<Ended, NotRun> {
    let ended = Process::start(command)
        .ended_or_stuck(within)
        .map_err(NotRun)?;
    if ended.status.success() {
        return Ok(ended);
    }
    // Installers print much; the first of these lines is the relevant one.
    let is_telling = |line: &&str| line.starts_with("ERROR: ") || line.starts_with("npm error ");
    let line = ended.stderr.lines().find(is_telling);
    let line = line.or(ended.stderr.lines().last()).unwrap_or_default();
    let program = Path::new(command.get_program()).file_name();
    let program = program.unwrap_or_default().to_string_lossy();
    Err(NotRun(format!("{program}: {line}")))
}

fn read(file: &Path) -> Result<Vec<u8>, NotRun> {
    fs::read(file).map_err(|error| NotRun(format!("{}: {error}", file.display())))
}

fn pins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../external/pins")
}

/// Some ten megabytes on a slow line.
const INSTALL_PATIENCE: Duration = Duration::from_secs(200);
