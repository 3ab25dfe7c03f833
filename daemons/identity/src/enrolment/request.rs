//! What a box asks for: to be a node of a fleet, with the public keys that it made.

use std::{collections::BTreeSet, fmt};

use data_encoding::BASE32_NOPAD;
use settings::{Name, NodeRole};
use sha2::{Digest, Sha256};

use super::{
    armor::{self, ArmorError, Block},
    wire::{Malformed, Reader, Writer},
};
use crate::{enrolled::NodeKeys, nkey};

/// Why a request cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no whole block.
    #[error("this is not a request that can be used: {0}")]
    Armor(#[from] ArmorError),
    /// Its content is not a request.
    #[error("this is not a request that can be used: {0}")]
    Malformed(#[from] Malformed),
    /// A key is none.
    #[error(
        "the request offers something for the role {role} in {account} that is not the public key of an account: it was not made by leafbox"
    )]
    Key {
        /// The account.
        account: Name,
        /// The role.
        role: Name,
    },
    /// A key stands for two roles.
    #[error(
        "the request offers the key {key} twice, the second time for the role {role} in {account}: each role has a key of its own, and leafbox never writes this"
    )]
    Twice {
        /// The account.
        account: Name,
        /// The role.
        role: Name,
        /// The key.
        key: String,
    },
}

/// What identifies a request: eight groups of four letters and digits, to be compared by eye or by
/// telephone. The first 160 bits of a SHA-256 over all that the request says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub(super) [u8; 20]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = BASE32_NOPAD.encode(&self.0);
        for start in (0..text.len()).step_by(4) {
            let space = if start == 0 { "" } else { " " };
            write!(formatter, "{space}{}", &text[start..start + 4])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fingerprint({self})")
    }
}

/// A box that asks to be a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The fleet.
    pub fleet: Name,
    /// The node that it wants to be.
    pub node: Name,
    /// Leaf or hub.
    pub role: NodeRole,
    /// Its public keys.
    pub keys: NodeKeys,
}

impl Request {
    /// Reads the block that [`Request::armored`] writes, with any text around it, or what a scanner
    /// makes of the QR code.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        let content = armor::content(Block::Request, text)?;
        let mut reader = Reader(&content);
        let role = match reader.byte()? {
            0 => NodeRole::Leaf,
            1 => NodeRole::Hub,
            _ => return Err(Malformed.into()),
        };
        let (fleet, node) = (reader.name()?, reader.name()?);
        let (mut keys, mut seen) = (NodeKeys::new(), BTreeSet::new());
        for _ in 0..reader.count()? {
            let account = reader.name()?;
            for _ in 0..reader.count()? {
                let role = reader.name()?;
                let here = || (account.clone(), role.clone());
                let key = nkey::account_key_text(&reader.array()?).ok_or_else(|| {
                    let (account, role) = here();
                    RequestError::Key { account, role }
                })?;
                if !seen.insert(key.clone()) {
                    let (account, role) = here();
                    return Err(RequestError::Twice { account, role, key });
                }
                if keys.entry(account.clone()).or_default().insert(role.clone(), key).is_some() {
                    return Err(Malformed.into());
                }
            }
        }
        reader.end()?;
        Ok(Self { fleet, node, role, keys })
    }

    /// The block to show, mail or copy.
    pub fn armored(&self) -> String {
        armor::armored(Block::Request, &self.framed())
    }

    /// The text of a QR code that says the same: capitals, digits and a colon.
    pub fn qr_text(&self) -> String {
        armor::qr_text(&self.framed())
    }

    /// What identifies it.
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = Sha256::digest(self.content());
        let mut bytes = [0; 20];
        bytes.copy_from_slice(&digest[..20]);
        Fingerprint(bytes)
    }

    fn framed(&self) -> Vec<u8> {
        armor::framed(Block::Request, &self.content())
    }

    fn content(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.byte(match self.role {
            NodeRole::Leaf => 0,
            NodeRole::Hub => 1,
        });
        writer.name(&self.fleet);
        writer.name(&self.node);
        writer.count(self.keys.len());
        for (account, roles) in &self.keys {
            writer.name(account);
            writer.count(roles.len());
            for (role, key) in roles {
                writer.name(role);
                writer.bytes(&nkey::account_key_bytes(key).expect("a request holds public keys of accounts"));
            }
        }
        writer.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        fixture::{name, shops},
        nkey::{KeyKind, SecretKey},
    };

    fn request() -> Request {
        let fleet = shops();
        let key = || SecretKey::generate(KeyKind::Account).unwrap().public_key();
        let accounts = fleet.roles_of_node(NodeRole::Leaf).into_iter();
        let keys = accounts
            .map(|(account, roles)| (account, roles.into_iter().map(|role| (role, key())).collect()))
            .collect();
        Request { fleet: fleet.name, node: name("van-1"), role: NodeRole::Leaf, keys }
    }

    #[test]
    fn a_request_reads_back_from_its_block_and_from_its_code() {
        let request = request();
        let block = request.armored();
        let read = Request::parse(&block).unwrap();
        assert_eq!((&read, read.fingerprint()), (&request, request.fingerprint()));
        assert_eq!(Request::parse(&request.qr_text()).unwrap(), request);
        let words = request.fingerprint().to_string();
        assert_eq!(words.split(' ').map(str::len).collect::<Vec<_>>(), [4; 8], "{words}");
    }

    #[test]
    fn everything_that_it_says_changes_its_fingerprint() {
        let request = request();
        let others = [
            Request { node: name("van-2"), ..request.clone() },
            Request { fleet: name("other"), ..request.clone() },
            Request { role: NodeRole::Hub, ..request.clone() },
            Request { keys: self::request().keys, ..request.clone() },
        ];
        for other in others {
            assert_ne!(other.fingerprint(), request.fingerprint(), "{other:?}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_so_is_one_offered_twice() {
        let request = request();
        let mut content = request.content();
        let key = nkey::account_key_bytes(&request.keys["SHOP"]["till"]).unwrap();
        let place = content.windows(32).position(|window| window == key).unwrap();
        // A point of small order: every signature is valid for it.
        content[place..place + 32].fill(0);
        let block = armor::armored(Block::Request, &armor::framed(Block::Request, &content));
        let error = Request::parse(&block).unwrap_err();
        assert_eq!(error, RequestError::Key { account: name("SHOP"), role: name("till") });

        let mut twice = request.clone();
        let key = twice.keys["SHOP"]["till"].clone();
        twice.keys.get_mut("SYS").unwrap().insert(name("leafbox-leaf"), key);
        assert!(matches!(Request::parse(&twice.armored()), Err(RequestError::Twice { .. })));
    }

    #[test]
    fn bytes_that_go_on_or_end_early_are_refused() {
        let content = request().content();
        let parse = |content: &[u8]| {
            Request::parse(&armor::armored(Block::Request, &armor::framed(Block::Request, content)))
        };
        parse(&content).unwrap();
        assert_eq!(parse(&[&content[..], &[0]].concat()), Err(Malformed.into()));
        for length in 0..content.len() {
            assert!(parse(&content[..length]).is_err(), "cut at {length}");
        }
    }
}
