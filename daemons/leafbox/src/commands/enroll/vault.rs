//! How a box keeps its secrets: plain files of mode 0600, or sealed by systemd-creds.
//!
//! A sealed file opens on this machine only, by its TPM or by a host key. Each carries the name that
//! systemd gives a file of a folder, `leafbox_<file>`, and is refused under any other, so that
//! `LoadCredentialEncrypted=leafbox:<folder>` opens it.

use std::{
    io::{self, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};
use data_encoding::BASE64;
use identity::secret_file::{self, SecretFileError};
use zeroize::Zeroizing;

const PROGRAM: &str = "systemd-creds";
/// Bytes. A plain key of 64 digits is base64 too, of 48; the header of a sealed one alone is longer.
const SHORTEST_SEALED: usize = 100;
/// How a sealed file begins that takes no TPM to open: `CRED_AES256_GCM_BY_HOST`, the same for one
/// user, and `…_BY_NULL` in systemd's creds-util.h.
const BY_HOST_ALONE: [&str; 3] = ["Whxqht+dQJax1aZeCGLxm", "VbntHThZTUOoMZ0uuzMqx", "BYRp2vb1QySABUnaD46i+"];

/// Whether secrets are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vault {
    /// Plain files.
    Plain,
    /// Sealed files.
    Sealed,
}

impl Vault {
    /// How a file that is there is kept.
    pub(super) fn of(path: &Path) -> Result<Self> {
        Ok(Self::of_text(&secret_file::read(path)?))
    }

    /// What systemd-creds writes is base64 of a header of some hundred bytes, and the secret after
    /// it. How it begins tells nothing: it names the way of sealing, and that of a TPM with a host
    /// key reads `k6iU`, while a key of JetStream begins with `k` too.
    fn of_text(text: &str) -> Self {
        let text: Zeroizing<String> = Zeroizing::new(text.split_whitespace().collect());
        let bytes = BASE64.decode(text.as_bytes()).map(Zeroizing::new);
        if bytes.is_ok_and(|bytes| bytes.len() >= SHORTEST_SEALED) { Self::Sealed } else { Self::Plain }
    }

    /// Reads a secret.
    pub(super) fn read(self, path: &Path) -> Result<Zeroizing<String>> {
        let text = secret_file::read(path)?;
        if self == Self::Plain {
            return Ok(text);
        }
        let opened = systemd_creds("decrypt", path, text.as_bytes())?;
        let text = String::from_utf8(opened.to_vec()).map(Zeroizing::new);
        text.with_context(|| format!("{} holds no text once it is opened", path.display()))
    }

    /// Writes a secret that is not there yet; one that is there stays.
    pub(super) fn create(self, path: &Path, secret: &str) -> Result<()> {
        let sealed = self.sealed(path, secret)?;
        match secret_file::create(path, sealed.as_ref().map_or(secret.as_bytes(), |sealed| sealed)) {
            // Another request was faster, and its key is as good.
            Err(SecretFileError::Exists { .. }) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Writes a secret in place of one that may be there.
    pub(super) fn replace(self, path: &Path, secret: &str) -> Result<()> {
        let sealed = self.sealed(path, secret)?;
        let content = sealed.as_ref().map_or(secret.as_bytes(), |sealed| sealed);
        Ok(secret_file::replace(path, content, 0o600)?)
    }

    /// What is written in place of a secret, where it is not the secret itself.
    fn sealed(self, path: &Path, secret: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        match self {
            Self::Plain => Ok(None),
            Self::Sealed => systemd_creds("encrypt", path, secret.as_bytes()).map(Some),
        }
    }

    /// What protects a file, said honestly: by what it was sealed with, since a TPM may have been
    /// turned on later.
    pub(super) fn words(path: &Path) -> Result<&'static str> {
        let text = secret_file::read(path)?;
        Ok(match Self::of_text(&text) {
            Self::Plain => "plain files, mode 0600: who has the disk has the keys",
            Self::Sealed if !BY_HOST_ALONE.iter().any(|id| text.starts_with(id)) => {
                "sealed by this machine's TPM: the disk alone opens nothing"
            }
            Self::Sealed => {
                "sealed by a key of this machine, which lies on its own disk: a copy of this folder opens \
                 nothing, the whole disk does (there was no TPM)"
            }
        })
    }
}

/// The name by which systemd knows a file of a folder that it was given as `leafbox`. Signing keys
/// are given to no unit; their name says the account too.
fn credential_name(path: &Path) -> String {
    let word = |path: Option<&Path>| {
        path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let (file, folder) = (word(Some(path)), word(path.parent()));
    if file.ends_with(".nk") { format!("leafbox_{folder}.{file}") } else { format!("leafbox_{file}") }
}

fn systemd_creds(verb: &str, path: &Path, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let mut command = Command::new(PROGRAM);
    command.arg(verb).arg(format!("--name={}", credential_name(path)));
    if verb == "encrypt" {
        command.arg("--with-key=auto");
    }
    command.args(["-", "-"]);
    let output = piped(command, input).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow::anyhow!(
            "there is no {PROGRAM} on PATH, which {verb}s {}: install systemd 250 or newer, or start anew \
             with `leafbox enroll request --no-encrypt`",
            path.display()
        ),
        _ => anyhow::Error::new(error).context(format!("cannot run {PROGRAM} for {}", path.display())),
    })?;
    let Output { status, stdout, stderr } = output;
    let stdout = Zeroizing::new(stdout);
    if !status.success() {
        let why = String::from_utf8_lossy(&stderr);
        bail!(
            "{PROGRAM} cannot {verb} {}: {}; a sealed file opens only on the machine that sealed it, as root",
            path.display(),
            why.trim().replace('\n', "; ")
        );
    }
    Ok(stdout)
}

/// Runs a program with something on its standard input. What it reads is small enough for a pipe.
fn piped(mut command: Command, input: &[u8]) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let output = child.wait_with_output()?;
    // A program that failed has not read all, and says why itself.
    if output.status.success() { written.map(|()| output) } else { Ok(output) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use identity::nkey::{KeyKind, SecretKey};

    use super::*;

    /// A regression test: what a TPM and a host key sealed together was taken for a plain key, since
    /// both begin with `k`; such a box could not even print its request twice.
    #[test]
    fn a_sealed_file_is_told_from_a_plain_one_however_it_begins() {
        // The ids by which systemd's creds-util.h begins a sealed file, here by way of base64.
        for id in ["Whxqht+dQJax1aZeCGLxmg", "DHzAexF2RZGcSwvqCLwg/g", "k6iUCUh0RJCQyvL8k8q1Uw"] {
            let sealed = format!("{id}AA{}", "QUFB".repeat(60));
            let lines = format!("{}\n{}\n", &sealed[..69], &sealed[69..]);
            assert_eq!(Vault::of_text(&lines), Vault::Sealed, "{lines}");
        }
        let seed = SecretKey::generate(KeyKind::Account).unwrap().seed();
        let ours = identity::jetstream_key::new_jetstream_key().unwrap();
        // As `openssl rand -hex 32` prints one.
        let digits = "0123456789abcdef".repeat(4);
        let creds = format!("-----BEGIN NATS USER JWT-----\n{}\n", "QUFB".repeat(100));
        for plain in [seed.as_str(), ours.as_str(), &format!("{digits}\n"), &creds, ""] {
            assert_eq!(Vault::of_text(plain), Vault::Plain);
        }
    }

    /// A regression test: a TPM that was turned on later was praised for what a key on the disk sealed.
    #[test]
    fn what_protects_a_file_is_read_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jetstream.key");
        for (id, words) in [
            ("Whxqht+dQJax1aZeCGLxmg", "lies on its own disk"),
            ("DHzAexF2RZGcSwvqCLwg/g", "by this machine's TPM"),
            ("k6iUCUh0RJCQyvL8k8q1Uw", "by this machine's TPM"),
        ] {
            let sealed = format!("{id}AA{}\n", "QUFB".repeat(60));
            secret_file::replace(&path, sealed.as_bytes(), 0o600).unwrap();
            assert!(Vault::words(&path).unwrap().contains(words), "{id}");
        }
        secret_file::replace(&path, b"k0", 0o600).unwrap();
        assert!(Vault::words(&path).unwrap().contains("plain"));
    }

    #[test]
    fn a_sealed_file_has_the_name_that_systemd_looks_for() {
        let name = |path: &str| credential_name(Path::new(path));
        assert_eq!(name("/keys/nats/leaf-SHOP.creds"), "leafbox_leaf-SHOP.creds");
        assert_eq!(name("/keys/nats/jetstream.key"), "leafbox_jetstream.key");
        assert_eq!(name("/keys/signing/SHOP/till.nk"), "leafbox_SHOP.till.nk");
    }
}
