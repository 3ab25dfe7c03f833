//! Bytes of a request or an answer: short, since a request has to fit into a QR code.
//!
//! Numbers are big endian. A name is its length and its bytes; those that every fleet has are one
//! byte from [`KNOWN`], counted from 0x80.

use settings::{
    LEAFBOX_ACCOUNT, Name, SYSTEM_ACCOUNT,
    builtin::{APPLY_ROLE, CONSOLE_ROLE, HEALTH_SERVICE, LEAF_ROLE, PUSH_ROLE, REGISTRY_SERVICE},
};

/// Names that take one byte. Only ever appended to.
const KNOWN: [&str; 8] = [
    LEAFBOX_ACCOUNT,
    SYSTEM_ACCOUNT,
    LEAF_ROLE,
    APPLY_ROLE,
    PUSH_ROLE,
    HEALTH_SERVICE,
    REGISTRY_SERVICE,
    CONSOLE_ROLE,
];
const FIRST_KNOWN: u8 = 0x80;

/// The bytes end early, go on too long, or say what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its content cannot be read: it was written by another version of leafbox, or made up")]
pub struct Malformed;

#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// # Panics
    /// Past 65,535: no fleet has as many accounts or roles.
    pub(crate) fn count(&mut self, count: usize) {
        self.bytes(&u16::try_from(count).expect("a fleet is smaller").to_be_bytes());
    }

    pub(crate) fn name(&mut self, name: &Name) {
        let known = KNOWN.iter().zip(FIRST_KNOWN..).find(|(known, _)| **known == name.as_str());
        match known {
            Some((_, code)) => self.byte(code),
            None => {
                // A name has 64 bytes at most.
                self.byte(name.len() as u8);
                self.bytes(name.as_bytes());
            }
        }
    }

    /// Bytes after their number.
    ///
    /// # Panics
    /// Past 4 GiB: no JWT is as large.
    pub(crate) fn long(&mut self, bytes: &[u8]) {
        self.bytes(&u32::try_from(bytes.len()).expect("a JWT is smaller").to_be_bytes());
        self.bytes(bytes);
    }
}

pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bytes(N)?.try_into().map_err(|_| Malformed)
    }

    pub(crate) fn count(&mut self) -> Result<usize, Malformed> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    pub(crate) fn name(&mut self) -> Result<Name, Malformed> {
        let length = self.byte()?;
        let text = match length.checked_sub(FIRST_KNOWN) {
            Some(code) => KNOWN.get(usize::from(code)).copied().ok_or(Malformed)?,
            None => std::str::from_utf8(self.bytes(usize::from(length))?).map_err(|_| Malformed)?,
        };
        text.parse().map_err(|_| Malformed)
    }

    pub(crate) fn long(&mut self) -> Result<&'a [u8], Malformed> {
        let length = u32::from_be_bytes(self.array()?);
        self.bytes(length as usize)
    }

    /// Nothing may follow.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}
