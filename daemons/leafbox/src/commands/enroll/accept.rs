//! `leafbox enroll accept`: takes the operator's answer and makes the creds that the node runs with.
//!
//! Everything is checked before anything is written. Then creds, JWTs and the marker are written in
//! this order, each whole: after a power cut the node does not run with half of them, and accepting
//! the same answer again completes them.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use identity::{
    Creds, JwtSet, UserRequest,
    enrolment::{Answer, Fingerprint},
    layout, secret_file,
};
use nix::{
    fcntl::{AtFlags, OFlag},
    sys::stat::fstatat,
    unistd::{Gid, Uid, fchownat},
};
use settings::{
    LEAFBOX_ACCOUNT, Name, SYSTEM_ACCOUNT, Settings,
    builtin::{APPLY_ROLE, CONSOLE_ROLE, HEALTH_SERVICE, LEAF_ROLE, PUSH_ROLE, REGISTRY_SERVICE},
};

use super::{
    device::Device,
    paste,
    trust::{self, Marker, Reason},
    vault::Vault,
};
use crate::{cli, say, setup};

const NO_LINK: i32 = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).bits();

/// Checks the answer, then writes what it gives.
pub(super) fn run(settings: Settings, arguments: &cli::EnrollAccept) -> Result<()> {
    let device = Device::of(settings, &arguments.keys)?;
    let Some(vault) = device.vault()? else {
        bail!(
            "this box has made no keys yet in {}: run `leafbox enroll request` first",
            device.places.root().display()
        );
    };
    let answer = Answer::parse(&paste::read(&arguments.answer, "answer")?)
        .context("nothing was changed")
        .map_err(|error| error.context(format!("cannot accept {}", named(&arguments.answer))))?;
    check_addressee(&device, &answer)?;
    let reason = trust::check(&device, &answer.jwts, arguments.operator.as_deref())?;
    refuse_link(&device.jwts())?;
    let jwts = newest(&device, answer.jwts.clone())?;
    let users = users(&device, vault, &jwts, answer.fingerprint)?;

    let again = device.places.marker().exists();
    let mut written = 0;
    for user in &users {
        written += usize::from(user.write(vault, &jwts)?);
    }
    written += write_jwts(&device, &jwts)?;
    mark(&device, &jwts, answer.fingerprint)?;
    tell(&device, &jwts, reason, users.len(), again, written);
    Ok(())
}

fn named(answer: &Path) -> String {
    if answer == Path::new("-") { "what was pasted".to_owned() } else { answer.display().to_string() }
}

fn check_addressee(device: &Device, answer: &Answer) -> Result<()> {
    let (node, fleet) = (&device.settings.node.name, &device.settings.fleet.name);
    if answer.node != *node {
        bail!(
            "the answer is for the node {}, and this is {node}: take the answer to this box's own request; \
             nothing was changed",
            answer.node
        );
    }
    if answer.fleet != *fleet {
        bail!("the answer is of the fleet {}, and this box is of {fleet}; nothing was changed", answer.fleet);
    }
    Ok(())
}

/// Who owns the data directory, as nats-server does, could have root write elsewhere.
fn refuse_link(folder: &Path) -> Result<()> {
    if fs::symlink_metadata(folder).is_ok_and(|found| !found.is_dir()) {
        bail!(
            "{} is not a folder, and the accounts are written there: move it away, then accept the answer \
             again; nothing was changed",
            folder.display()
        );
    }
    Ok(())
}

/// What the box knows already may be newer than the answer. A folder of its own that a power cut or
/// a bad disk left in pieces is written anew from the answer.
fn newest(device: &Device, jwts: JwtSet) -> Result<JwtSet> {
    let (given, own) = (device.settings.jwts_dir(), device.jwts());
    let mut newest = jwts;
    match setup::previous(&own) {
        Ok(Some(known)) => newest = newest.newest("the answer", known, &own.display().to_string())?,
        Ok(None) => {}
        Err(error) => eprintln!("{} is written anew: {}", own.display(), crate::explain(&error)),
    }
    if given != own
        && let Some(known) = setup::previous(&given)?
    {
        newest = newest.newest("the answer", known, &given.display().to_string())?;
    }
    Ok(newest)
}

/// A user that the node runs as.
struct User {
    account: Name,
    role: Name,
    name: String,
    signer: identity::nkey::SecretKey,
    path: PathBuf,
}

/// The users of this node, once it is certain that the accounts list its keys.
fn users(device: &Device, vault: Vault, jwts: &JwtSet, answered: Fingerprint) -> Result<Vec<User>> {
    let missing = device.missing();
    if let Some((account, role)) = missing.first() {
        bail!(
            "fleet.toml wants a key for the role {role} in {account} that this box has not made: run \
             `leafbox enroll request` and have it approved; nothing was changed"
        );
    }
    let (node, places) = (&device.settings.node.name, &device.places);
    let mut users = Vec::new();
    for (account, role) in device.wanted() {
        let signer = device.signing_key(vault, &account, &role)?;
        let (key, label) = (signer.public_key(), format!("{role}@{node}"));
        let listed = jwts.accounts.get(&account).is_some_and(|account| {
            let mut keys = account.claims().nats.signing_keys.iter();
            keys.any(|claim| claim.key() == key && claim.role() == label)
        });
        if !listed {
            bail!(
                "the accounts do not know this box's key for the role {role} in {account}: the answer is to the \
                 request {answered}, and this box asks as {}; have that approved, or if the box was taken back, \
                 move {} away and ask anew; nothing was changed",
                device.request(vault)?.fingerprint(),
                places.root().join("signing").display()
            );
        }
        let path = match (account.as_str(), role.as_str()) {
            (SYSTEM_ACCOUNT, PUSH_ROLE) => places.system_creds(),
            (LEAFBOX_ACCOUNT, HEALTH_SERVICE) => places.health_creds(),
            (LEAFBOX_ACCOUNT, REGISTRY_SERVICE) => places.registry_creds(),
            (_, LEAF_ROLE) => places.leaf_creds(&account),
            (_, APPLY_ROLE) => places.apply_creds(&account),
            (_, CONSOLE_ROLE) => places.console_creds(&account),
            _ => continue,
        };
        let what = role.strip_prefix("leafbox-").unwrap_or(&role);
        let name = format!("{what}-{account}@{node}");
        users.push(User { account, role, name, signer, path });
    }
    Ok(users)
}

impl User {
    /// Mints the user, unless it is there already; says whether it did.
    fn write(&self, vault: Vault, jwts: &JwtSet) -> Result<bool> {
        let account_key = &jwts.accounts[&self.account].public_key;
        let now = now(jwts);
        if self.path.exists() {
            let text = vault.read(&self.path)?;
            let is_ours = |creds: &Creds| {
                creds.claims.issuer == self.signer.public_key()
                    && creds.claims.nats.issuer_account == *account_key
            };
            if Creds::parse(&text, now).is_ok_and(|creds| is_ours(&creds)) {
                return Ok(false);
            }
        }
        let request = UserRequest {
            account: &self.account,
            account_key,
            role: &self.role,
            name: &self.name,
            expires: None,
            tags: &[],
        };
        let creds = identity::mint_with(&self.signer, &request, now)?;
        if let Some(folder) = self.path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        vault.replace(&self.path, &creds.text())?;
        Ok(true)
    }
}

/// The time, or the newest signature's where the box's clock has not been set yet: a user dated
/// before a revocation of all would be cut off by it.
fn now(jwts: &JwtSet) -> SystemTime {
    let signed = jwts.accounts.values().map(|account| account.issued_at).max().unwrap_or_default();
    let signed = UNIX_EPOCH + Duration::from_secs(u64::try_from(signed).unwrap_or_default() + 1);
    SystemTime::now().max(signed)
}

/// Writes the JWTs for whom the data directory belongs to.
///
/// That user may do in it what it likes, and the one who accepts is root: so no link of its making
/// is followed, and nothing changes hands but the folder and the files of the set.
fn write_jwts(device: &Device, jwts: &JwtSet) -> Result<usize> {
    let (data, folder) = (device.settings.data_dir(), device.jwts());
    let written = jwts.write_dir(&folder)?;
    let owner = fs::metadata(&data).with_context(|| format!("cannot read {}", data.display()))?;
    let cannot = || format!("cannot give {} to the owner of {}", folder.display(), data.display());
    let opened = OpenOptions::new().read(true).custom_flags(NO_LINK).open(&folder).with_context(cannot)?;
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    let give = |name: &Path| -> Result<()> {
        let is = fstatat(&opened, name, AtFlags::AT_SYMLINK_NOFOLLOW).with_context(cannot)?;
        if (is.st_uid, is.st_gid) != (owner.uid(), owner.gid()) {
            fchownat(&opened, name, Some(user), Some(group), AtFlags::AT_SYMLINK_NOFOLLOW)
                .with_context(cannot)?;
        }
        Ok(())
    };
    let accounts = jwts.accounts.keys().map(|name| layout::account_jwt(Path::new(""), name));
    for name in accounts.chain([layout::operator_jwt(Path::new(""))]) {
        give(&name)?;
    }
    give(Path::new("."))?;
    Ok(written.len())
}

/// Says that all is there. systemd waits for this file.
fn mark(device: &Device, jwts: &JwtSet, answered: Fingerprint) -> Result<()> {
    let operator = jwts.operator_claims().subject.clone();
    let text = serde_json::to_string(&Marker { operator, request: answered.to_string() })?;
    let text = format!("{text}\n");
    let marker = device.places.marker();
    if !fs::read(&marker).is_ok_and(|found| found == text.as_bytes()) {
        secret_file::replace(&marker, text.as_bytes(), 0o600)?;
    }
    Ok(())
}

fn tell(device: &Device, jwts: &JwtSet, reason: Reason, users: usize, again: bool, written: usize) {
    let operator = jwts.operator_claims();
    let node = &device.settings.node.name;
    say!("{node} is let into the fleet {}", device.settings.fleet.name);
    let why = match reason {
        Reason::Known => "the one that this box knows",
        Reason::Pinned => "the one that --operator names",
        Reason::First => {
            "believed because it is the first; `leafbox enroll approve` shows it too: compare them"
        }
    };
    say!("  operator  {} ({}), {why}", operator.subject, operator.name);
    say!("  accounts  {}, in {}", jwts.accounts.len(), device.jwts().display());
    say!("  creds     {users}, signed by this box, in {}", device.places.root().display());
    say!("");
    match (device.places.is_split(), again) {
        (_, true) if written == 0 => say!("all of it was here already"),
        (true, false) => say!("systemd starts the node now: `systemctl status 'leafbox-*'`"),
        (true, true) => say!("a running node takes it with `systemctl restart leafbox-nats.service`"),
        (false, false) => say!("`leafbox run` starts the node"),
        (false, true) => say!("a running `leafbox run` takes it when it is started again"),
    }
}
