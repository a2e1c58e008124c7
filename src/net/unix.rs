//! Unix sockets that listen, and their files.
//!
//! A server that was killed leaves its file, and the next one cannot bind the same path while the
//! file exists. So a file at which nobody listens is removed.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::logging;
use mio::net::UnixListener;
use rustix::fs::{Access, FlockOperation, access, flock};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

/// A Unix socket that listens. Dropping it removes its file, and then closes it.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    /// `None` for an abstract name, for an adopted socket, and after `remove_file`. Dropped before
    /// the socket: see [`SocketFile`].
    file: Option<SocketFile>,
    pub(crate) listener: UnixListener,
    /// The path, or `@` and a name in the abstract namespace.
    pub(crate) path: Arc<str>,
}

impl UnixSocket {
    /// Listens at `path`. The file has these permissions or, if they are 0, those of the umask.
    pub(crate) fn listen(path: &Path, permissions: u32, backlog: i32) -> io::Result<Self> {
        let address = address_of(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let bound = if address.as_pathname().is_some() {
            Some(BoundFile::new(&socket, &address, path, permissions)?)
        } else {
            socket.bind(&address)?;
            None
        };
        socket.listen(backlog)?;
        Ok(Self {
            file: bound.map(|bound| bound.file),
            listener: UnixListener::from_std(socket.into()),
            path: shown(&address),
        })
    }

    /// Takes over a socket that is listening. Its file stays.
    pub(crate) fn adopt(listener: StdListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            path: path_of(&listener),
            file: None,
            listener: UnixListener::from_std(listener),
        })
    }

    /// Removes its file, so that nobody connects any more. The connections in the backlog stay.
    pub(crate) fn remove_file(&mut self) {
        self.file = None;
    }
}

/// Returns the path of a listening socket as [`UnixSocket::path`] has it.
pub(crate) fn path_of(listener: &StdListener) -> Arc<str> {
    let address = SockRef::from(listener).local_addr();
    address.map_or_else(|_| Arc::from(""), |address| shown(&address))
}

/// Checks that a socket can be bound at `path`, except that another server may be using it.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    if address_of(path)?.as_pathname().is_none() {
        return Ok(());
    }
    if let Ok(there) = fs::symlink_metadata(path)
        && !there.file_type().is_socket()
    {
        return Err(not_a_socket());
    }
    let folder = folder_of(path);
    // The server opens the folder to lock it. So it must be readable.
    fs::read_dir(folder)?;
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// The file of a socket that does not listen yet, so that nobody can connect.
///
/// The folder is locked, so that servers that start take turns. Otherwise, two could find the same
/// stale file, and the slower one would remove the new file of the faster one: no system call
/// removes a file only if it is still the same. And until a socket listens, its own file looks
/// stale. A lock on the folder leaves no file.
#[derive(Debug)]
struct BoundFile {
    file: SocketFile,
    _lock: File,
}

impl BoundFile {
    /// Binds the socket to a new file with these permissions. Removes a stale file first.
    fn new(socket: &Socket, address: &SockAddr, path: &Path, permissions: u32) -> io::Result<Self> {
        let lock = lock(folder_of(path))?;
        remove_stale(path, address)?;
        socket.bind(address)?;
        let file = SocketFile::at(path)?;
        // Not by the umask, which is that of all threads.
        if permissions != 0 {
            fs::set_permissions(path, Permissions::from_mode(permissions))?;
        }
        Ok(Self { file, _lock: lock })
    }
}

/// Locks a folder until the returned file is dropped. Sleeps between two attempts, because no
/// system call waits for a lock with a deadline. Only a start calls this.
fn lock(folder: &Path) -> io::Result<File> {
    let lock = File::open(folder)?;
    let deadline = Instant::now() + LOCK_WAIT_MAX;
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(LOCK_STEP),
            Err(Errno::WOULDBLOCK) => {
                let reason = "another process has locked its folder";
                return Err(io::Error::new(ErrorKind::TimedOut, reason));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes the socket at `path` if nobody listens there. Any other file is an error.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => {}
        Ok(_) => return Err(not_a_socket()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Otherwise, it would wait for a server whose backlog is full.
    socket.set_nonblocking(true)?;
    let removed = match socket.connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(()) => Err(Errno::ADDRINUSE.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Errno::ADDRINUSE.into()),
        Err(error) => Err(error),
    };
    match removed {
        // Its server has removed it in the meantime.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The file of a socket that was bound here. Dropping it removes the file, if the path still has
/// the same one.
///
/// It is dropped before the socket is closed. Until then, a server that starts leaves the file
/// alone, and no new file can have the number of this one.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// The numbers of its device and its inode.
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            // An absolute path stays right if the working directory changes.
            path: path::absolute(path)?,
            identity: identity(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            logging::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// Returns whether the path means a name in the abstract namespace.
pub(crate) fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_bytes().starts_with(b"@")
}

/// Returns the address of a path, or of `@name`.
fn address_of(path: &Path) -> io::Result<SockAddr> {
    let bytes = path.as_os_str().as_bytes();
    let invalid = |reason| io::Error::new(ErrorKind::InvalidInput, reason);
    if bytes.contains(&0) {
        // The system would end the path there.
        return Err(invalid("the path contains a zero byte"));
    }
    let address = match bytes {
        [] | [b'@'] => return Err(invalid("the name is empty")),
        [b'@', ..] if !cfg!(any(target_os = "linux", target_os = "android")) => {
            return Err(invalid("only Linux has the abstract namespace"));
        }
        [b'@', name @ ..] => SockAddr::unix(OsStr::from_bytes(&[b"\0", name].concat())),
        _ => SockAddr::unix(path),
    };
    address.map_err(|_| invalid("the path is too long for a socket, some 100 bytes are possible"))
}

/// Returns the path of an address, or `@` and its name; empty if it has neither.
fn shown(address: &SockAddr) -> Arc<str> {
    let shown = match (address.as_pathname(), address.as_abstract_namespace()) {
        (Some(path), _) => path.to_string_lossy().into_owned(),
        (None, Some(name)) => format!("@{}", String::from_utf8_lossy(name)),
        (None, None) => String::new(),
    };
    shown.into()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

fn not_a_socket() -> io::Error {
    let reason = "there is a file that is not a socket";
    io::Error::new(ErrorKind::AlreadyExists, reason)
}

/// Maximum time to wait for another server that starts in the same folder. It needs less than a
/// millisecond.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);

/// Time between two attempts to lock the folder.
const LOCK_STEP: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixStream;
    use std::process;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread::ScopedJoinHandle;

    /// A folder with a short path, removed with its files on drop.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("respool-unix-{}-{number}", process::id());
            let folder = Self(std::env::temp_dir().join(name));
            fs::create_dir(&folder.0).expect("a new folder");
            folder
        }

        fn socket(&self) -> PathBuf {
            self.0.join("socket")
        }

        /// Leaves the file of a server that was killed.
        fn stale_socket(&self) -> PathBuf {
            let path = self.socket();
            drop(StdListener::bind(&path).expect("nothing is there"));
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn listen(path: &Path) -> io::Result<UnixSocket> {
        UnixSocket::listen(path, 0, 511)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").permissions().mode() & 0o777
    }

    #[test]
    fn stale_file_is_replaced_and_removed_at_the_end() {
        let folder = Folder::new();
        let path = folder.stale_socket();
        let socket = listen(&path).expect("nobody listens there");
        assert_eq!(&*socket.path, path.to_str().expect("a short name"));
        UnixStream::connect(&path).expect("it listens");
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn file_of_a_running_server_is_left_alone() {
        let folder = Folder::new();
        let path = folder.socket();
        let first = listen(&path).expect("nothing is there");
        let error = listen(&path).expect_err("it is in use");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        UnixStream::connect(&path).expect("the first still listens");
        drop(first);
        listen(&path).expect("nothing is there");
    }

    #[test]
    fn server_with_a_full_backlog_is_running() {
        let folder = Folder::new();
        let path = folder.socket();
        let _full = UnixSocket::listen(&path, 0, 0).expect("nothing is there");
        let address = SockAddr::unix(&path).expect("a short path");
        let mut waiting = Vec::new();
        let refused = loop {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("a socket");
            match socket.connect(&address) {
                Ok(()) => waiting.push(socket),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        let error = listen(&path).expect_err("it is in use");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(path.exists());
    }

    #[test]
    fn file_that_is_not_a_socket_is_never_removed() {
        let folder = Folder::new();
        let stale = folder.stale_socket();
        let [file, link, inner] = ["file", "link", "inner"].map(|name| folder.0.join(name));
        fs::write(&file, "mine").expect("a new file");
        symlink(&stale, &link).expect("a new link");
        fs::create_dir(&inner).expect("a new folder");
        for path in [&file, &link, &inner] {
            for error in [listen(path).map(drop), check(path)] {
                let error = error.expect_err("it is not a socket");
                assert_eq!(error.kind(), ErrorKind::AlreadyExists);
                assert!(fs::symlink_metadata(path).is_ok(), "{path:?}");
            }
        }
        assert_eq!(fs::read(&file).expect("it is left"), b"mine");
    }

    #[test]
    fn permissions_are_set_before_anybody_can_connect() {
        let folder = Folder::new();
        let (path, bound) = bind(&folder, 0o600);
        assert_eq!(mode(&path), 0o600);
        let refused = UnixStream::connect(&path).expect_err("it does not listen");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        drop(bound);
        assert!(!path.exists());
        let _socket = UnixSocket::listen(&path, 0o640, 511).expect("nothing is there");
        assert_eq!(mode(&path), 0o640);
    }

    /// Binds a socket that does not listen.
    fn bind(folder: &Folder, permissions: u32) -> (PathBuf, BoundFile) {
        let path = folder.socket();
        let address = address_of(&path).expect("a short path");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        let bound = BoundFile::new(&socket, &address, &path, permissions);
        // The socket is closed here: the test needs only its file and the lock.
        (path, bound.expect("nothing is there"))
    }

    #[test]
    fn permissions_of_0_are_those_of_the_umask() {
        let folder = Folder::new();
        let (path, other) = (folder.socket(), folder.0.join("other"));
        let _socket = listen(&path).expect("nothing is there");
        let _other = StdListener::bind(&other).expect("nothing is there");
        assert_eq!(mode(&path), mode(&other));
    }

    #[test]
    fn file_of_another_server_is_not_removed_at_the_end() {
        let folder = Folder::new();
        let path = folder.socket();
        let mut first = listen(&path).expect("nothing is there");
        fs::remove_file(&path).expect("the file of the first");
        let _second = listen(&path).expect("nothing is there");
        first.remove_file();
        drop(first);
        UnixStream::connect(&path).expect("the second listens");
    }

    // Without the lock, two servers find the same stale file, and the second removes the new file
    // of the first.
    #[test]
    fn one_of_many_that_start_at_once_listens() {
        const SERVERS: usize = 4;
        for _ in 0..100 {
            let folder = Folder::new();
            let path = folder.stale_socket();
            let start = Barrier::new(SERVERS);
            let sockets: Vec<_> = thread::scope(|scope| {
                let server = || {
                    start.wait();
                    listen(&path)
                };
                let servers: Vec<_> = (0..SERVERS).map(|_| scope.spawn(server)).collect();
                let sockets = servers.into_iter().map(ScopedJoinHandle::join);
                sockets.map(|socket| socket.expect("no panic")).collect()
            });
            UnixStream::connect(&path).expect("one listens");
            let (one, others): (Vec<_>, Vec<_>) = sockets.into_iter().partition(Result::is_ok);
            assert_eq!(one.len(), 1);
            for error in others.into_iter().filter_map(Result::err) {
                assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
            }
        }
    }

    #[test]
    fn server_that_does_not_listen_yet_is_left_alone() {
        let folder = Folder::new();
        let (path, _bound) = bind(&folder, 0);
        let error = listen(&path).expect_err("the other has locked the folder");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(path.exists());
    }

    #[test]
    fn path_that_no_socket_can_have_is_refused() {
        let long = "x".repeat(200);
        for (path, reason) in [
            ("", "the name is empty"),
            ("@", "the name is empty"),
            ("a\0b", "the path contains a zero byte"),
            (
                &*long,
                "the path is too long for a socket, some 100 bytes are possible",
            ),
        ] {
            for error in [listen(path.as_ref()).map(drop), check(path.as_ref())] {
                assert_eq!(error.expect_err("a wrong path").to_string(), reason);
            }
        }
        let missing = Path::new("/no-such-folder/socket");
        for error in [listen(missing).map(drop), check(missing)] {
            assert_eq!(error.expect_err("no folder").kind(), ErrorKind::NotFound);
        }
    }

    #[test]
    fn check_makes_and_removes_nothing() {
        let folder = Folder::new();
        check(&folder.socket()).expect("the folder can be written");
        assert!(!folder.socket().exists());
        let stale = folder.stale_socket();
        check(&stale).expect("it would be replaced");
        assert!(stale.exists());
        let _socket = listen(&stale).expect("nobody listens there");
        check(&stale).expect("a server may be running");
        let file = folder.0.join("file");
        fs::write(&file, "").expect("a new file");
        let error = check(&file.join("socket")).expect_err("it is not a folder");
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn name_in_the_abstract_namespace_makes_no_file() {
        let folder = Folder::new();
        // The number of the process is in the name, so that no other test has it.
        let name = PathBuf::from(format!("@{}", folder.0.display()));
        check(&name).expect("it needs no folder");
        let socket = listen(&name).expect("a new name");
        assert_eq!(&*socket.path, name.to_str().expect("a short name"));
        let error = listen(&name).expect_err("it is in use");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(!name.exists());
        drop(socket);
        listen(&name).expect("the name is free again");
    }

    #[test]
    fn file_of_an_adopted_socket_stays() {
        let folder = Folder::new();
        let path = folder.socket();
        let listener = StdListener::bind(&path).expect("nothing is there");
        let mut socket = UnixSocket::adopt(listener).expect("a socket");
        assert_eq!(&*socket.path, path.to_str().expect("a short name"));
        socket.remove_file();
        drop(socket);
        assert!(path.exists());
    }
}
