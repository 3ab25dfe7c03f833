//! What the operator answers: the signed accounts, which list the keys of the box.
//!
//! Public, all of it. JWTs are taken apart before they are deflated, since base64 hides from a
//! compressor that they say much the same.

use std::io::{Read, Write};

use data_encoding::BASE64URL_NOPAD;
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use settings::Name;

use super::{
    armor::{self, ArmorError, Block},
    request::Fingerprint,
    wire::{Malformed, Reader, Writer},
};
use crate::jwt_set::{JwtSet, JwtSetError};

/// No fleet's accounts are larger; a few bytes could claim to be gigabytes.
const LARGEST: u64 = 16 << 20;

/// Why an answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// There is no whole block.
    #[error("this is not an answer that can be used: {0}")]
    Armor(#[from] ArmorError),
    /// Its content is not an answer.
    #[error("this is not an answer that can be used: {0}")]
    Malformed(#[from] Malformed),
    /// A JWT in it is damaged, or signed by the wrong one.
    #[error("this answer cannot be believed: {0}")]
    Jwts(#[source] Box<JwtSetError>),
}

/// The signed accounts for a box that asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The fleet.
    pub fleet: Name,
    /// The node that it is for.
    pub node: Name,
    /// The request that it answers.
    pub fingerprint: Fingerprint,
    /// The operator's JWT and those of the accounts.
    pub jwts: JwtSet,
}

impl Answer {
    /// Reads the block that [`Answer::armored`] writes, and checks the signature of every JWT.
    /// Whether the operator is to be trusted is the caller's question.
    pub fn parse(text: &str) -> Result<Self, AnswerError> {
        let content = armor::content(Block::Answer, text)?;
        let mut reader = Reader(&content);
        let (fleet, node, fingerprint) = (reader.name()?, reader.name()?, Fingerprint(reader.array()?));
        let mut inflated = Vec::new();
        let inflating = ZlibDecoder::new(reader.0).take(LARGEST + 1).read_to_end(&mut inflated);
        if inflating.is_err() || inflated.len() as u64 > LARGEST {
            return Err(Malformed.into());
        }
        let mut reader = Reader(&inflated);
        let operator = jwt(&mut reader)?;
        let mut accounts = Vec::new();
        for _ in 0..reader.count()? {
            let name = reader.name()?;
            let origin = format!("the JWT of the account {name} in it");
            accounts.push((name, origin, jwt(&mut reader)?));
        }
        reader.end()?;
        let operator = ("the operator's JWT in it".to_owned(), operator);
        let jwts = JwtSet::new(operator, accounts).map_err(|error| AnswerError::Jwts(Box::new(error)))?;
        Ok(Self { fleet, node, fingerprint, jwts })
    }

    /// The block to mail or copy.
    pub fn armored(&self) -> String {
        let mut content = Writer::default();
        content.name(&self.fleet);
        content.name(&self.node);
        content.bytes(&self.fingerprint.0);
        let mut inner = Writer::default();
        put_jwt(&mut inner, &self.jwts.operator);
        inner.count(self.jwts.accounts.len());
        for (name, account) in &self.jwts.accounts {
            inner.name(name);
            put_jwt(&mut inner, &account.jwt);
        }
        let mut deflated = ZlibEncoder::new(content.0, Compression::best());
        let content = deflated.write_all(&inner.0).and_then(|()| deflated.finish());
        let content = content.expect("memory can be written to");
        armor::armored(Block::Answer, &armor::framed(Block::Answer, &content))
    }
}

/// Header and claims as they were before base64, and the signature.
fn put_jwt(writer: &mut Writer, jwt: &str) {
    for part in jwt.split('.') {
        let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).expect("a signed JWT is base64");
        writer.long(&bytes);
    }
}

fn jwt(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let mut part = || reader.long().map(|bytes| BASE64URL_NOPAD.encode(bytes));
    Ok(format!("{}.{}.{}", part()?, part()?, part()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fixture::{name, signed};

    fn answer() -> (tempfile::TempDir, Answer) {
        let (folder, _, fleet, jwts) = signed();
        (folder, Answer { fleet: fleet.name, node: name("van-1"), fingerprint: Fingerprint([7; 20]), jwts })
    }

    #[test]
    fn an_answer_reads_back_and_is_much_shorter_than_its_jwts() {
        let (_folder, answer) = answer();
        let block = answer.armored();
        assert_eq!(Answer::parse(&block).unwrap(), answer);
        let jwts: usize = answer.jwts.accounts.values().map(|account| account.jwt.len()).sum();
        assert!(block.len() < jwts / 2, "{} of {jwts}", block.len());
    }

    /// Whoever can compute a checksum still cannot sign.
    #[test]
    fn a_changed_answer_with_a_new_checksum_is_not_believed() {
        let (_folder, answer) = answer();
        let (_other_folder, other) = self::answer();
        let mut mixed = answer.clone();
        mixed.jwts.accounts.insert(name("SHOP"), other.jwts.accounts["SHOP"].clone());
        let error = Answer::parse(&mixed.armored()).unwrap_err().to_string();
        assert!(error.contains("JWT of the account SHOP") && error.contains("another fleet"), "{error}");

        let mut changed = answer.clone();
        let shop = changed.jwts.accounts.get_mut("SHOP").unwrap();
        let (signed, signature) = shop.jwt.rsplit_once('.').unwrap();
        let signature: String = signature.chars().rev().collect();
        // The last character of 86 carries four bits.
        shop.jwt = format!("{signed}.{}A", &signature[..85]);
        let error = Answer::parse(&changed.armored()).unwrap_err();
        assert!(matches!(&error, AnswerError::Jwts(_)), "{error}");
    }

    #[test]
    fn few_bytes_that_inflate_to_gigabytes_are_refused() {
        let mut writer = Writer::default();
        writer.name(&name("shops"));
        writer.name(&name("van-1"));
        writer.bytes(&[7; 20]);
        let mut deflated = ZlibEncoder::new(writer.0, Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..64 {
            deflated.write_all(&zeros).unwrap();
        }
        let block = armor::armored(Block::Answer, &armor::framed(Block::Answer, &deflated.finish().unwrap()));
        assert!(matches!(Answer::parse(&block), Err(AnswerError::Malformed(_))));
    }
}
