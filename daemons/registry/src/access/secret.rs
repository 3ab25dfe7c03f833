//! The secret of a token: what `docker login` takes as the password.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest as _, Sha256};

/// Scanners for leaked credentials find it by this, and people tell it from other passwords.
const PREFIX: &str = "lbr_";
/// 62^43 is a little more than 2^256.
const RANDOM: usize = 43;
/// Digits of the checksum: 62^6 is more than 2^32.
const CHECK: usize = 6;
const LENGTH: usize = PREFIX.len() + RANDOM + CHECK;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `lbr_`, 256 random bits in 43 letters and digits, and 6 more that are their checksum, by which a
/// paste that lost its end is told from a secret that is not known.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A new one.
    pub fn random() -> Self {
        let mut text = String::with_capacity(LENGTH);
        text.push_str(PREFIX);
        Alphanumeric.append_string(&mut rand::rng(), &mut text, RANDOM);
        let check = checksum(&text);
        text.push_str(&check);
        Self(text)
    }

    /// The text, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored: SHA-256 as hexadecimal digits.
    pub fn hash(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.0.as_bytes()))
    }
}

/// Never the text: it would end in a log.
impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("lbr_…")
    }
}

impl FromStr for Secret {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<Self, BadSecret> {
        let digits = text.strip_prefix(PREFIX).ok_or(BadSecret::NotOne)?;
        if text.len() != LENGTH {
            return Err(BadSecret::Cut { found: text.chars().count() });
        }
        if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(BadSecret::Mistyped);
        }
        let (body, check) = text.split_at(LENGTH - CHECK);
        if check != checksum(body) {
            return Err(BadSecret::Mistyped);
        }
        Ok(Self(text.to_owned()))
    }
}

/// The text cannot be the secret of any token, which is no secret itself and can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Something else was typed.
    #[error("the password is no token of leafbox: those begin with `{PREFIX}`")]
    NotOne,
    /// Not as long as a secret is.
    #[error("the token has {found} characters instead of {LENGTH}: paste the whole of it")]
    Cut {
        /// How many characters came.
        found: usize,
    },
    /// The checksum is another.
    #[error("the token was mistyped: its checksum does not fit; paste it instead")]
    Mistyped,
}

fn checksum(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let mut rest = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    let mut digits = [b'0'; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_secret_is_read_back_and_no_two_are_alike() {
        let secret = Secret::random();
        assert_eq!(secret.reveal().len(), 53);
        assert_eq!(secret.reveal().parse(), Ok(secret.clone()));
        assert_ne!(secret, Secret::random());
        assert_eq!(secret.hash().len(), 64);
    }

    #[test]
    fn a_cut_paste_a_typing_error_and_another_password_are_told_apart() {
        let secret = Secret::random();
        let text = secret.reveal();
        for length in 0..text.len() {
            let expected = if length < 4 { BadSecret::NotOne } else { BadSecret::Cut { found: length } };
            assert_eq!(text[..length].parse::<Secret>(), Err(expected));
        }
        assert_eq!(format!("{text}\n").parse::<Secret>(), Err(BadSecret::Cut { found: 54 }));
        for at in 4..text.len() {
            let other = if text.as_bytes()[at] == b'a' { "b" } else { "a" };
            let mut mistyped = text.to_owned();
            mistyped.replace_range(at..=at, other);
            assert_eq!(mistyped.parse::<Secret>(), Err(BadSecret::Mistyped), "{at}");
        }
        assert_eq!("hunter2".parse::<Secret>(), Err(BadSecret::NotOne));
    }

    #[test]
    fn text_of_the_right_length_with_letters_of_two_bytes_is_refused() {
        let text = format!("lbr_{}a", "ä".repeat(24));
        assert_eq!(text.len(), LENGTH);
        assert_eq!(text.parse::<Secret>(), Err(BadSecret::Mistyped));
    }

    #[test]
    fn a_secret_stays_out_of_logs() {
        let secret = Secret::random();
        assert!(!format!("{secret:?}").contains(&secret.reveal()[4..]));
    }
}
