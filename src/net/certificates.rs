//! The certificate of the server, its key, and the CAs of its clients: loaded from the files that
//! the configuration names, as one unit.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys, RootCertStore, SupportedProtocolVersion};

use crate::config::{Config, TlsAuthClients, TlsProtocols, regular_file};

pub(crate) use rustls::ServerConfig;

/// The key of the configuration that is wrong, and why.
pub(crate) type Mistake = (&'static str, Cow<'static, str>);

/// Loads the files that `config` names. Nothing is kept of an earlier load: a ticket of an earlier
/// configuration, which may have had other CAs, resumes no session.
pub(crate) fn load(config: &Config) -> Result<ServerConfig, Mistake> {
    let provider = Arc::new(ring::default_provider());
    let pair = pair(config, &provider)?;
    let verifier = client_verifier(config, &provider)?;
    let cannot = |error: Error| ("tls-protocols", error.to_string().into());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(config.tls_protocols))
        .map_err(cannot)?;
    let mut tls = builder
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    tls.ignore_client_order = true;
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    if config.tls_session_caching {
        tls.ticketer = ring::Ticketer::new()
            .map_err(|error| ("tls-session-caching", error.to_string().into()))?;
        // Few clients resume more than one connection at a time.
        tls.send_tls13_tickets = 1;
    } else {
        tls.send_tls13_tickets = 0;
    }
    Ok(tls)
}

fn versions(protocols: TlsProtocols) -> &'static [&'static SupportedProtocolVersion] {
    match protocols {
        TlsProtocols::Tls12 => &BOTH[1..],
        TlsProtocols::Tls13 => &BOTH[..1],
        TlsProtocols::Both => &BOTH,
    }
}

static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// Loads the certificate and its key.
fn pair(config: &Config, provider: &CryptoProvider) -> Result<CertifiedKey, Mistake> {
    let missing = |key: &'static str| {
        let reason = match config.tls_port {
            // The program, or a service manager, has given a socket for TLS.
            0 => "a socket for TLS needs it: write the path of a file in PEM",
            _ => "`tls-port` needs it: write the path of a file in PEM, or `tls-port = 0`",
        };
        (key, Cow::from(reason))
    };
    let certificate_file = config.tls_cert_file.as_ref();
    let certificate_file = certificate_file.ok_or_else(|| missing("tls-cert-file"))?;
    let key_file = config.tls_key_file.as_ref();
    let key_file = key_file.ok_or_else(|| missing("tls-key-file"))?;
    let chain = certificates("tls-cert-file", certificate_file)?;
    if chain.is_empty() {
        return Err(no_certificate("tls-cert-file", certificate_file));
    }
    let key = private_key(key_file)?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        let problem = "has a key of a kind that is not supported, expected ECDSA on P-256 or \
                       P-384, RSA of at least 2048 bits, or Ed25519";
        in_file("tls-key-file", key_file, problem)
    })?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(Error::InconsistentKeys(_)) => {
            let certificate_file = certificate_file.display();
            let problem = format!(
                "is not the key of the first certificate in {certificate_file}; both must be of \
                 one pair"
            );
            Err(in_file("tls-key-file", key_file, &problem))
        }
        Err(error) => Err(invalid_certificate(
            "tls-cert-file",
            certificate_file,
            &error,
        )),
    }
}

/// Returns the check of clients' certificates.
fn client_verifier(
    config: &Config,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Mistake> {
    let roots = Arc::new(authorities(config)?);
    let is_optional = match config.tls_auth_clients {
        TlsAuthClients::No => return Ok(WebPkiClientVerifier::no_client_auth()),
        TlsAuthClients::Yes => false,
        TlsAuthClients::Optional => true,
    };
    if roots.is_empty() {
        let reason = format!(
            "`{}` needs the CA of the clients' certificates: set `tls-ca-cert-file` or \
             `tls-ca-cert-dir`, or write `tls-auth-clients = \"no\"`",
            config.tls_auth_clients
        );
        return Err(("tls-auth-clients", reason.into()));
    }
    // As in Redis, the names of the CAs are not sent: a folder may have hundreds.
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .clear_root_hint_subjects();
    let builder = if is_optional {
        builder.allow_unauthenticated()
    } else {
        builder
    };
    let built = builder.build();
    built.map_err(|error| ("tls-auth-clients", error.to_string().into()))
}

/// Loads the CAs of the file and of the folder.
fn authorities(config: &Config) -> Result<RootCertStore, Mistake> {
    let mut authorities = Authorities {
        store: RootCertStore::empty(),
        seen: HashSet::new(),
    };
    if let Some(file) = &config.tls_ca_cert_file
        && authorities.add("tls-ca-cert-file", file)? == 0
    {
        return Err(no_certificate("tls-ca-cert-file", file));
    }
    if let Some(folder) = &config.tls_ca_cert_dir {
        let key = "tls-ca-cert-dir";
        let mut count = 0;
        for file in files_in(folder).map_err(|error| unreadable(key, folder, &error))? {
            count += authorities.add(key, &file)?;
        }
        if count == 0 {
            let problem = "has no certificate, expected PEM in files such as ca.pem, ca.crt or \
                           5ed36f99.0";
            return Err(in_file(key, folder, problem));
        }
    }
    Ok(authorities.store)
}

struct Authorities {
    store: RootCertStore,
    /// The certificates added so far: a folder of OpenSSL has each under several names.
    seen: HashSet<CertificateDer<'static>>,
}

impl Authorities {
    /// Adds the certificates in a file, and returns how many there are.
    fn add(&mut self, key: &'static str, file: &Path) -> Result<usize, Mistake> {
        let certificates = certificates(key, file)?;
        let count = certificates.len();
        for certificate in certificates {
            if self.seen.insert(certificate.clone()) {
                let added = self.store.add(certificate);
                added.map_err(|error| invalid_certificate(key, file, &error))?;
            }
        }
        Ok(count)
    }
}

/// Returns the files of a folder that may have certificates, sorted.
fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        if may_have_certificates(&file) {
            files.push(file);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Returns whether a file has a name such as `ca.pem`, `ca.crt` or, by `openssl rehash`,
/// `5ed36f99.0`.
fn may_have_certificates(file: &Path) -> bool {
    let stem = file.file_stem().unwrap_or_default().as_encoded_bytes();
    let extension = file.extension().unwrap_or_default().as_encoded_bytes();
    let is_hash = stem.len() == 8 && stem.iter().all(u8::is_ascii_hexdigit);
    let is_number = !extension.is_empty() && extension.iter().all(u8::is_ascii_digit);
    extension == b"pem" || extension == b"crt" || (is_hash && is_number)
}

/// Returns the certificates in a file, which may be none.
fn certificates(key: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Mistake> {
    let bytes = read(key, file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    certificates.map_err(|_| {
        in_file(
            key,
            file,
            "is damaged: a section of its PEM is not complete",
        )
    })
}

/// Returns the first private key in a file. An error shows nothing of the file.
fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Mistake> {
    let key = "tls-key-file";
    let bytes = read(key, file)?;
    let text = String::from_utf8_lossy(&bytes);
    if ENCRYPTED.iter().any(|mark| text.contains(mark)) {
        let shown = file.display();
        let problem = format!(
            "is encrypted, which is not supported: decrypt it by `openssl pkey -in {shown} -out \
             DECRYPTED`, and set `tls-key-file` to the new file"
        );
        return Err(in_file(key, file, &problem));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let problem = "has no private key, expected PEM with `-----BEGIN PRIVATE KEY-----`";
            in_file(key, file, problem)
        }
        _ => in_file(
            key,
            file,
            "is damaged: a section of its PEM is not complete",
        ),
    })
}

/// Texts in the files of encrypted keys: of PKCS #8, and of OpenSSL's older format.
const ENCRYPTED: [&str; 2] = ["-----BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, Mistake> {
    regular_file::read(file, FILE_BYTES_MAX).map_err(|error| unreadable(key, file, &error))
}

fn unreadable(key: &'static str, file: &Path, error: &io::Error) -> Mistake {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => " (the server's user must be able to read it)",
        _ => "",
    };
    let file = file.display();
    (key, format!("cannot read {file}: {error}{advice}").into())
}

fn no_certificate(key: &'static str, file: &Path) -> Mistake {
    let problem = "has no certificate, expected PEM with `-----BEGIN CERTIFICATE-----`";
    in_file(key, file, problem)
}

fn invalid_certificate(key: &'static str, file: &Path, error: &Error) -> Mistake {
    // webpki's type for this error is not public, so its name is searched.
    let problem = if format!("{error:?}").contains("UnsupportedCertVersion") {
        "has a certificate of X.509 version 1, expected version 3: `openssl x509 -req` makes one \
         with `-extfile`"
            .into()
    } else {
        format!("has a certificate that cannot be used: {error}")
    };
    in_file(key, file, &problem)
}

fn in_file(key: &'static str, file: &Path, problem: &str) -> Mistake {
    (key, format!("{} {problem}", file.display()).into())
}

/// Maximum bytes of a file: many times a bundle of all public CAs.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The state of the files on the disk. It differs if one of them has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<(PathBuf, Option<FileStamp>)>);

/// The device, number, length and time of change of a file; the time is in seconds and nanoseconds.
/// It is `ctime`, which also changes with the owner and permissions, and which no program can set.
type FileStamp = (u64, u64, u64, i64, i64);

impl Stamp {
    /// Looks at each file that `config` names. Take it before the files are loaded: then a later
    /// change is found.
    pub(crate) fn of(config: &Config) -> Self {
        let named = [
            &config.tls_cert_file,
            &config.tls_key_file,
            &config.tls_ca_cert_file,
        ];
        let mut files: Vec<_> = named.into_iter().flatten().cloned().collect();
        if let Some(folder) = &config.tls_ca_cert_dir {
            files.extend(files_in(folder).unwrap_or_default());
        }
        let stamped = files.into_iter().map(|file| {
            let stamp = fs::metadata(&file).ok().map(|file| {
                let (seconds, nanoseconds) = (file.ctime(), file.ctime_nsec());
                (file.dev(), file.ino(), file.len(), seconds, nanoseconds)
            });
            (file, stamp)
        });
        Self(stamped.collect())
    }
}

#[cfg(test)]
mod tests {
    use respool_testing::certificates::{Authority, Folder, Key, RSA_1024};

    use std::fs::{File, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// Returns a configuration with the files of `folder`.
    fn config(folder: &Folder) -> Config {
        Config {
            tls_port: 1,
            tls_cert_file: Some(folder.server_certificate()),
            tls_key_file: Some(folder.server_key()),
            tls_ca_cert_file: Some(folder.ca()),
            ..Config::default()
        }
    }

    fn folder() -> Folder {
        Authority::new("the CA").folder()
    }

    #[test]
    fn each_supported_kind_of_key_is_loaded() {
        let authority = Authority::new("the CA");
        let folder = authority.folder();
        for kind in [Key::P256, Key::P384, Key::Ed25519, Key::Rsa2048] {
            folder.write_server(&authority.server_with(kind));
            if let Err(mistake) = load(&config(&folder)) {
                panic!("{kind:?}: {mistake:?}");
            }
        }
    }

    #[test]
    fn sessions_are_resumed_only_with_session_caching() {
        let folder = folder();
        let mut config = config(&folder);
        for (caching, tickets) in [(true, 1), (false, 0)] {
            config.tls_session_caching = caching;
            let tls = load(&config).expect("the files are right");
            assert_eq!(tls.ticketer.enabled(), caching);
            assert_eq!(tls.send_tls13_tickets, tickets);
        }
    }

    /// Loads the files after `change`, and expects the mistake: its key, and parts of the reason.
    #[track_caller]
    fn assert_mistake(change: impl Fn(&mut Config, &Folder), key: &str, parts: &[&str]) {
        let folder = folder();
        let mut config = config(&folder);
        change(&mut config, &folder);
        let (found, reason) = load(&config).expect_err("a mistake");
        assert_eq!(found, key, "{reason}");
        for part in parts {
            assert!(reason.contains(part), "{reason} has no {part}");
        }
        let secret = fs::read_to_string(folder.server_key()).unwrap_or_default();
        let mut lines = secret
            .lines()
            .filter(|line| line.len() > 8 && !line.starts_with("-----"));
        assert!(lines.all(|line| !reason.contains(line)), "{reason}");
    }

    #[test]
    fn missing_key_says_what_to_write() {
        let parts = ["`tls-port` needs it", "`tls-port = 0`"];
        assert_mistake(
            |config, _| config.tls_cert_file = None,
            "tls-cert-file",
            &parts,
        );
        assert_mistake(
            |config, _| config.tls_key_file = None,
            "tls-key-file",
            &parts,
        );
    }

    #[test]
    fn unusable_certificate_file_is_named() {
        let key = "tls-cert-file";
        assert_mistake(
            |config, _| config.tls_cert_file = Some("no-such.pem".into()),
            key,
            &["cannot read no-such.pem: No such file"],
        );
        assert_mistake(
            |config, folder| config.tls_cert_file = Some(folder.server_key()),
            key,
            &["server.key has no certificate", "BEGIN CERTIFICATE"],
        );
        assert_mistake(
            |_, folder| drop(folder.scratch().file_in("server.pem", DAMAGED)),
            key,
            &["server.pem is damaged"],
        );
    }

    const DAMAGED: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n";

    #[test]
    fn unusable_key_file_is_named() {
        let key = "tls-key-file";
        assert_mistake(
            |config, _| config.tls_key_file = Some("/".into()),
            key,
            &["cannot read /: Is a directory"],
        );
        assert_mistake(
            |config, folder| config.tls_key_file = Some(folder.server_certificate()),
            key,
            &["server.pem has no private key", "BEGIN PRIVATE KEY"],
        );
        assert_mistake(
            |config, folder| config.tls_key_file = Some(folder.client_key()),
            key,
            &["client.key is not the key of the first", "server.pem"],
        );
        assert_mistake(
            |_, folder| drop(folder.scratch().file_in("server.key", RSA_1024)),
            key,
            &["a kind that is not supported, expected ECDSA", "2048 bits"],
        );
    }

    #[test]
    fn encrypted_key_is_refused_with_the_command() {
        for text in [
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHsMFcG\n-----END ENCRYPTED PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n\
             AAAA\n-----END RSA PRIVATE KEY-----",
        ] {
            assert_mistake(
                |_, folder| drop(folder.scratch().file_in("server.key", text)),
                "tls-key-file",
                &[
                    "server.key is encrypted",
                    "`openssl pkey -in /",
                    "-out DECRYPTED`",
                ],
            );
        }
    }

    #[test]
    fn clients_are_checked_only_with_a_ca() {
        for wanted in [TlsAuthClients::Yes, TlsAuthClients::Optional] {
            assert_mistake(
                |config, _| {
                    config.tls_ca_cert_file = None;
                    config.tls_auth_clients = wanted;
                },
                "tls-auth-clients",
                &[
                    "needs the CA",
                    "`tls-ca-cert-dir`",
                    "`tls-auth-clients = \"no\"`",
                ],
            );
        }
        let folder = folder();
        let mut config = config(&folder);
        config.tls_ca_cert_file = None;
        config.tls_auth_clients = TlsAuthClients::No;
        assert!(load(&config).is_ok());
        assert_mistake(
            |config, folder| config.tls_ca_cert_file = Some(folder.server_key()),
            "tls-ca-cert-file",
            &["server.key has no certificate"],
        );
    }

    #[test]
    fn folder_of_cas_is_read_by_names_and_once_each() {
        let folder = folder();
        let authorities = folder.scratch().path().join("authorities");
        let config = Config {
            tls_ca_cert_file: None,
            tls_ca_cert_dir: Some(authorities.clone()),
            ..config(&folder)
        };
        let error = load(&config).expect_err("the folder is missing");
        assert_eq!(error.0, "tls-ca-cert-dir", "{}", error.1);
        let text = fs::read_to_string(folder.ca()).expect("it has a CA");
        let add = |name: &str, text: &str| {
            folder
                .scratch()
                .file_in(&format!("authorities/{name}"), text)
        };
        add("ca.txt", &text);
        add("5ed36f99.r0", &text);
        add("key.pem", "no certificate");
        let (_, reason) = load(&config).expect_err("no file has the right name");
        assert!(
            reason.contains("has no certificate, expected PEM"),
            "{reason}"
        );
        for name in ["ca.pem", "ca.crt", "5ed36f99.0"] {
            add(name, &text);
        }
        assert_eq!(authorities_of(&config), 1);
        add("other.crt", &Authority::new("another CA").certificate());
        assert_eq!(authorities_of(&config), 2);
    }

    fn authorities_of(config: &Config) -> usize {
        authorities(config).expect("the files are right").len()
    }

    #[test]
    fn stamp_differs_after_each_kind_of_change() {
        let folder = folder();
        let config = Config {
            tls_ca_cert_dir: Some(folder.scratch().path().to_owned()),
            ..config(&folder)
        };
        let mut before = Stamp::of(&config);
        assert_eq!(Stamp::of(&config), before);
        let key = folder.server_key();
        let text = fs::read_to_string(&key).expect("a key");
        let other = folder.scratch().file_in("other", &text);
        let link = |name: &str| {
            let _ = fs::remove_file(&key);
            symlink(folder.scratch().path().join(name), &key).expect("a link can be made");
        };
        let mode = |mode| {
            let permissions = Permissions::from_mode(mode);
            fs::set_permissions(&key, permissions).expect("it is ours");
        };
        // As `cp -p` does.
        let rewrite_at_the_same_time = || {
            let open = || File::options().write(true).open(&key).expect("it is ours");
            let modified = open().metadata().and_then(|file| file.modified());
            fs::write(&key, "SHORTER").expect("it can be written");
            let modified = modified.expect("the system has it");
            open().set_modified(modified).expect("it is ours");
        };
        let changes: [&dyn Fn(); 8] = [
            &|| fs::write(&key, "shorter").expect("it can be written"),
            &rewrite_at_the_same_time,
            &|| mode(0o640),
            &|| fs::rename(&other, &key).expect("it can be replaced"),
            &|| fs::remove_file(&key).expect("it can be removed"),
            &|| drop(folder.scratch().file_in("new.crt", "")),
            &|| link("client.key"),
            &|| link("client.pem"),
        ];
        for change in changes {
            change();
            let after = Stamp::of(&config);
            assert_ne!(after, before);
            before = after;
        }
    }
}
