//! A certificate authority of this machine's own, for browsers that come by name and not through a
//! tunnel.
//!
//! The authority is good for the console's host name and nothing else, so that whoever steals its
//! key cannot pass for a bank. What is there already is kept: only a certificate that ends soon, or
//! is for another key, is made again, and browsers that trust the authority notice nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use runtime::{WriteError, write_whole};
use time::{Duration, OffsetDateTime};
use x509_parser::{extensions::GeneralName, pem::Pem};

use super::Origin;

/// How long the authority is good.
const CA_LIFE: Duration = Duration::days(3650);
/// How long a certificate is good: iOS refuses more than 825 days, and public ones have 398.
const LEAF_LIFE: Duration = Duration::days(397);
/// What is left of a certificate when it is made again.
const RENEW: Duration = Duration::days(30);
/// Clocks of boxes are wrong before they have asked a time server.
const SKEW: Duration = Duration::days(1);

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFiles {
    /// The authority's certificate: what devices install.
    pub ca: PathBuf,
    /// The authority's key.
    pub ca_key: PathBuf,
    /// The console's certificate.
    pub cert: PathBuf,
    /// The console's key.
    pub key: PathBuf,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was no authority: devices have to install this one.
    Made,
    /// The certificate is a new one; devices trust it already.
    Renewed,
    /// All is good as it is.
    Kept,
}

/// No certificate is made.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Browsers trust localhost without.
    #[error(
        "the console's origin is {origin}, where no certificate is needed: set `console.origin` in node.toml to \
         the name that browsers use, such as \"https://box.lan:8080\""
    )]
    Localhost {
        /// The origin.
        origin: String,
    },
    /// Passkeys do not work there whatever the certificate says.
    #[error(
        "the console's origin is {origin}, and browsers refuse passkeys at an IP address: set `console.origin` \
         in node.toml to a name, such as \"https://box.lan:8080\""
    )]
    Address {
        /// The origin.
        origin: String,
    },
    /// The authority is for another name.
    #[error(
        "{} is an authority for another name than {host}: `leafbox console ca --replace` makes one for it, which \
         every device has to install anew", path.display()
    )]
    OtherHost {
        /// The authority's certificate.
        path: PathBuf,
        /// The name wanted.
        host: String,
    },
    /// A file cannot be read.
    #[error("{} cannot be read: {source}; run this as the user who runs leafbox", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} is no certificate or key of this command ({reason}): `--replace` makes new ones", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate cannot be made.
    #[error("no certificate can be made for {host}: {source}")]
    Make {
        /// The name.
        host: String,
        /// What failed.
        #[source]
        source: rcgen::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The authority of a node.
#[derive(Clone, Debug)]
pub struct LocalCa {
    files: CaFiles,
    host: String,
}

impl LocalCa {
    /// The one for the host of `origin`, in the folder `keys`.
    ///
    /// # Errors
    /// When no certificate helps at that origin.
    pub fn new(keys: &Path, origin: &Origin) -> Result<Self, CaError> {
        if origin.is_localhost() {
            return Err(CaError::Localhost { origin: origin.as_str().to_owned() });
        }
        if origin.url().domain().is_none() {
            return Err(CaError::Address { origin: origin.as_str().to_owned() });
        }
        let file = |name: &str| keys.join(name);
        let files = CaFiles {
            ca: file("console-ca.crt"),
            ca_key: file("console-ca.key"),
            cert: file("console.crt"),
            key: file("console.key"),
        };
        Ok(Self { files, host: origin.host().to_owned() })
    }

    /// Where its files are.
    pub fn files(&self) -> &CaFiles {
        &self.files
    }

    /// Makes what is missing or ends soon; `replace` makes all of it anew.
    ///
    /// # Errors
    /// When what is there is for another name or damaged, or a file cannot be read or written.
    pub fn ensure(&self, now: SystemTime, replace: bool) -> Result<Outcome, CaError> {
        let now = OffsetDateTime::from(now);
        // The certificate is written last: without it, nobody has installed anything of the key.
        let known = if replace { None } else { read(&self.files.ca)? };
        let (issuer, is_new) = match known {
            Some(pem) => (self.known(&pem)?, false),
            None => (self.make(now)?, true),
        };
        if !is_new && self.is_good(now)? {
            return Ok(Outcome::Kept);
        }
        self.issue(&issuer, now)?;
        Ok(if is_new { Outcome::Made } else { Outcome::Renewed })
    }

    /// The authority that is there.
    fn known(&self, pem: &str) -> Result<Issuer<'static, KeyPair>, CaError> {
        let damaged = |path: &Path, reason: String| CaError::Damaged { path: path.to_owned(), reason };
        let is_for_host = parse(&self.files.ca, pem, |cert| {
            let constraints = cert.name_constraints().ok().flatten();
            let permitted = constraints.and_then(|found| found.value.permitted_subtrees.as_ref());
            permitted.is_some_and(|permitted| {
                permitted.len() == 1
                    && matches!(permitted[0].base, GeneralName::DNSName(name) if name == self.host)
            })
        })?;
        if !is_for_host {
            return Err(CaError::OtherHost { path: self.files.ca.clone(), host: self.host.clone() });
        }
        let key = read(&self.files.ca_key)?;
        let key = key.ok_or_else(|| damaged(&self.files.ca_key, "it is not there".to_owned()))?;
        let key = KeyPair::from_pem(&key).map_err(|error| damaged(&self.files.ca_key, error.to_string()))?;
        Issuer::from_ca_cert_pem(pem, key).map_err(|error| damaged(&self.files.ca, error.to_string()))
    }

    /// A new authority, good for one name.
    fn make(&self, now: OffsetDateTime) -> Result<Issuer<'static, KeyPair>, CaError> {
        let failed = |source| CaError::Make { host: self.host.clone(), source };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("leafbox console of {}", self.host));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // A list of names says nothing about addresses: those are shut out by themselves.
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(self.host.clone())],
            excluded_subtrees: vec![
                GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
                GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
            ],
        });
        params.not_before = now - SKEW;
        params.not_after = now + CA_LIFE;
        let key = KeyPair::generate().map_err(failed)?;
        let cert = params.self_signed(&key).map_err(failed)?;
        write_whole(&self.files.ca_key, key.serialize_pem().as_bytes(), 0o600)?;
        write_whole(&self.files.ca, cert.pem().as_bytes(), 0o600)?;
        Ok(Issuer::new(params, key))
    }

    /// Whether the console's certificate is there with its key, and good for long enough.
    fn is_good(&self, now: OffsetDateTime) -> Result<bool, CaError> {
        let (Some(cert), Some(key)) = (read(&self.files.cert)?, read(&self.files.key)?) else {
            return Ok(false);
        };
        let Ok(key) = KeyPair::from_pem(&key) else { return Ok(false) };
        let ca = read(&self.files.ca)?.unwrap_or_default();
        let ca_key = Pem::iter_from_buffer(ca.as_bytes()).next().and_then(Result::ok);
        let is_good = parse(&self.files.cert, &cert, |cert| {
            let ca = ca_key.as_ref().and_then(|pem| pem.parse_x509().ok());
            let names = cert.subject_alternative_name().ok().flatten();
            let is_for_host = names.is_some_and(|names| {
                names
                    .value
                    .general_names
                    .iter()
                    .any(|name| matches!(name, GeneralName::DNSName(name) if *name == self.host))
            });
            is_for_host
                && ca.is_some_and(|ca| cert.verify_signature(Some(ca.public_key())).is_ok())
                && cert.public_key().subject_public_key.data == key.public_key_raw()
                && cert.validity().not_after.to_datetime() - RENEW > now
        });
        // A damaged certificate is made again, unlike a damaged authority, which devices trust.
        Ok(is_good.unwrap_or(false))
    }

    fn issue(&self, issuer: &Issuer<'_, KeyPair>, now: OffsetDateTime) -> Result<(), CaError> {
        let failed = |source| CaError::Make { host: self.host.clone(), source };
        let mut params = CertificateParams::new(vec![self.host.clone()]).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, self.host.clone());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = now - SKEW;
        params.not_after = now + LEAF_LIFE;
        let key = KeyPair::generate().map_err(failed)?;
        let cert = params.signed_by(&key, issuer).map_err(failed)?;
        write_whole(&self.files.key, key.serialize_pem().as_bytes(), 0o600)?;
        write_whole(&self.files.cert, cert.pem().as_bytes(), 0o600)?;
        Ok(())
    }
}

/// A file, or that it is not there.
fn read(path: &Path) -> Result<Option<String>, CaError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CaError::Read { path: path.to_owned(), source }),
    }
}

/// Looks at a certificate.
fn parse<T>(
    path: &Path,
    pem: &str,
    look: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>) -> T,
) -> Result<T, CaError> {
    let damaged = |reason: String| CaError::Damaged { path: path.to_owned(), reason };
    let pem = Pem::iter_from_buffer(pem.as_bytes()).next();
    let pem = pem.ok_or_else(|| damaged("it holds no PEM".to_owned()))?;
    let pem = pem.map_err(|error| damaged(error.to_string()))?;
    let cert = pem.parse_x509().map_err(|error| damaged(error.to_string()))?;
    Ok(look(&cert))
}

/// How devices come to trust the authority in `ca`, for people.
pub fn how_to_install(ca: &Path, host: &str) -> String {
    let path = ca.display();
    format!(
        "\
Copy {path} to each device that uses the console (it is no secret), and install it there:

  Linux     Debian, Ubuntu:  sudo cp console-ca.crt /usr/local/share/ca-certificates/ && sudo update-ca-certificates
            Fedora, Arch:    sudo trust anchor console-ca.crt
            NixOS:           security.pki.certificateFiles = [ ./console-ca.crt ];
            Chrome has a store of its own:
                             certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n leafbox-{host} -i console-ca.crt
  macOS     sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain console-ca.crt
  Windows   as administrator:  certutil -addstore -f Root console-ca.crt
  iOS       send the file to the device and open it; Settings > Profile Downloaded > Install; then
            Settings > General > About > Certificate Trust Settings: turn it on
  Android   Settings > Security > Encryption and credentials > Install a certificate > CA certificate
  Firefox   Settings > Privacy & Security > View Certificates > Authorities > Import; on Windows,
            macOS and Android it also takes the system's (about:preferences#privacy)

The authority is good for {host} and the names below it, and for nothing else."
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn ca(folder: &Path, origin: &str) -> LocalCa {
        LocalCa::new(folder, &origin.parse().unwrap()).unwrap()
    }

    fn later(days: u64) -> SystemTime {
        SystemTime::now() + std::time::Duration::from_secs(days * 24 * 3600)
    }

    fn texts(ca: &LocalCa) -> [String; 4] {
        let files = ca.files();
        [&files.ca, &files.ca_key, &files.cert, &files.key].map(|path| fs::read_to_string(path).unwrap())
    }

    #[test]
    fn a_second_run_changes_nothing_and_one_near_the_end_renews_the_certificate_alone() {
        let folder = tempfile::tempdir().unwrap();
        let ca = ca(folder.path(), "https://box.lan:8080");
        assert_eq!(ca.ensure(SystemTime::now(), false).unwrap(), Outcome::Made);
        let first = texts(&ca);
        for file in fs::read_dir(folder.path()).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(ca.ensure(later(300), false).unwrap(), Outcome::Kept);
        assert_eq!(texts(&ca), first);
        assert_eq!(ca.ensure(later(370), false).unwrap(), Outcome::Renewed);
        let second = texts(&ca);
        assert_eq!(second[..2], first[..2], "devices have installed it");
        assert_ne!(second[2], first[2]);
        assert_eq!(ca.ensure(later(370), false).unwrap(), Outcome::Kept);
        fs::write(&ca.files().cert, "no PEM").unwrap();
        assert_eq!(ca.ensure(later(370), false).unwrap(), Outcome::Renewed);
    }

    #[test]
    fn a_client_that_trusts_the_authority_takes_its_certificate_for_the_host_and_for_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let ca = ca(folder.path(), "https://box.lan");
        ca.ensure(SystemTime::now(), false).unwrap();
        let [root, root_key, leaf, _] = texts(&ca);
        let issuer = Issuer::from_ca_cert_pem(&root, KeyPair::from_pem(&root_key).unwrap()).unwrap();
        let other = |name: &str| {
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().pem()
        };
        assert!(is_trusted(&root, &leaf, "box.lan"));
        assert!(!is_trusted(&root, &leaf, "bank.example"));
        // A thief of the key cannot make what clients take for another.
        assert!(!is_trusted(&root, &other("bank.example"), "bank.example"));
        assert!(!is_trusted(&root, &other("192.0.2.1"), "192.0.2.1"));
    }

    /// Whether rustls, which checks as browsers do, takes a chain.
    fn is_trusted(root: &str, leaf: &str, name: &str) -> bool {
        use rustls::{
            RootCertStore,
            client::{WebPkiServerVerifier, danger::ServerCertVerifier},
            crypto::ring::default_provider,
            pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
        };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), default_provider().into())
            .build()
            .unwrap();
        let leaf = CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::now()).is_ok()
    }

    #[test]
    fn an_authority_for_another_name_is_replaced_only_when_told_so() {
        let folder = tempfile::tempdir().unwrap();
        ca(folder.path(), "https://box.lan").ensure(SystemTime::now(), false).unwrap();
        let renamed = ca(folder.path(), "https://shop.lan");
        let error = renamed.ensure(SystemTime::now(), false).unwrap_err();
        assert!(error.to_string().contains("--replace"), "{error}");
        assert_eq!(renamed.ensure(SystemTime::now(), true).unwrap(), Outcome::Made);
        assert_eq!(renamed.ensure(SystemTime::now(), false).unwrap(), Outcome::Kept);
    }

    #[test]
    fn where_no_certificate_helps_the_origin_is_to_be_changed() {
        for origin in ["http://localhost:8080", "https://192.0.2.1"] {
            let error = LocalCa::new(Path::new("."), &origin.parse().unwrap()).unwrap_err();
            assert!(error.to_string().contains("console.origin"), "{error}");
        }
    }
}
