//! Certificates for TLS: a CA, and pairs of a certificate and its key that the CA signed.
//!
//! ```no_run
//! let ca = respool_testing::certificates::Authority::new("the CA");
//! let files = ca.folder();
//! println!("{:?}", files.server_certificate());
//! ```

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use crate::scratch::Scratch;

/// A CA.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM text. The key is for P-256, in PKCS #8.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// The kind of a key. Those of RSA are always the same one, because ring makes none.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    P256,
    P384,
    Ed25519,
    Rsa2048,
}

/// A folder with the PEM files of a CA, of a server and of a client.
pub struct Folder(Scratch);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, Key::P256.make());
        Self(issuer.expect("the CA signs itself"))
    }

    /// Returns the certificate of the CA, as PEM text.
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// Makes a pair for a server at `localhost`, 127.0.0.1 and `::1`.
    pub fn server(&self) -> Pair {
        self.server_with(Key::P256)
    }

    /// As [`Self::server`], with a key of this kind.
    pub fn server_with(&self, kind: Key) -> Pair {
        let names = ["localhost", "127.0.0.1", "::1"];
        let params = params("a server", &names);
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth, kind)
    }

    /// Makes a pair for a client.
    pub fn client(&self, name: &str) -> Pair {
        let params = params(name, &[]);
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth, Key::P256)
    }

    /// Makes a folder with the files of the CA, and of a new server and a new client.
    pub fn folder(&self) -> Folder {
        let folder = Folder(Scratch::folder());
        folder.0.file_in("ca.pem", &self.certificate());
        folder.write_server(&self.server());
        let client = self.client("a client");
        folder.0.file_in("client.pem", &client.certificate);
        folder.0.file_in("client.key", &client.key);
        folder
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        purpose: ExtendedKeyUsagePurpose,
        kind: Key,
    ) -> Pair {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let key = kind.make();
        let certificate = params.signed_by(&key, &self.0);
        Pair {
            certificate: certificate.expect("the CA signs").pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Folder {
    /// Replaces the files of the server: the certificate first, then its key.
    pub fn write_server(&self, pair: &Pair) {
        self.0.file_in("server.pem", &pair.certificate);
        self.0.file_in("server.key", &pair.key);
    }

    pub fn scratch(&self) -> &Scratch {
        &self.0
    }

    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    pub fn server_certificate(&self) -> PathBuf {
        self.path("server.pem")
    }

    pub fn server_key(&self) -> PathBuf {
        self.path("server.key")
    }

    pub fn client_certificate(&self) -> PathBuf {
        self.path("client.pem")
    }

    pub fn client_key(&self) -> PathBuf {
        self.path("client.key")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn params(common_name: &str, subject_names: &[&str]) -> CertificateParams {
    let names: Vec<_> = subject_names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("they are names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

impl Key {
    fn make(self) -> KeyPair {
        let key = match self {
            Self::P256 => KeyPair::generate(),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            Self::Rsa2048 => KeyPair::from_pem(include_str!("keys/rsa-2048.pem")),
        };
        key.expect("a key can be made")
    }
}

/// A key that is too short to be used, as PEM text.
pub const RSA_1024: &str = include_str!("keys/rsa-1024.pem");
