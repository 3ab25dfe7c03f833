//! Digests computed piece by piece, across restarts.

use std::fmt;

use data_encoding::BASE64;
use sha2::{
    Digest as _, Sha256, Sha512,
    digest::common::hazmat::{SerializableState, SerializedState},
};

use crate::{Algorithm, Digest};

/// A digest in the making.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Of nothing so far.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Which digest it computes.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Adds bytes. A mebibyte takes half a millisecond and more: no work for an async thread.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of all bytes.
    pub fn digest(self) -> Digest {
        let (algorithm, bytes) = match self.0 {
            State::Sha256(hash) => (Algorithm::Sha256, hash.finalize().to_vec()),
            State::Sha512(hash) => (Algorithm::Sha512, hash.finalize().to_vec()),
        };
        Digest::new(algorithm, &bytes).expect("a digest has its algorithm's length")
    }

    /// Its state as base64, for [`Hasher::resume`]. It says something about the bytes that came last,
    /// so it belongs where they are.
    pub fn state(&self) -> String {
        match &self.0 {
            State::Sha256(hash) => BASE64.encode(&hash.serialize()),
            State::Sha512(hash) => BASE64.encode(&hash.serialize()),
        }
    }

    /// Goes on from what [`Hasher::state`] wrote; `None` when it is not one of this algorithm.
    pub fn resume(algorithm: Algorithm, state: &str) -> Option<Self> {
        fn read<T: SerializableState>(bytes: &[u8]) -> Option<T> {
            T::deserialize(&SerializedState::<T>::try_from(bytes).ok()?).ok()
        }
        let bytes = BASE64.decode(state.as_bytes()).ok()?;
        Some(Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(read(&bytes)?),
            Algorithm::Sha512 => State::Sha512(read(&bytes)?),
        }))
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Hasher({})", self.algorithm().name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn it_computes_what_others_compute() {
        let digest = |algorithm| {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"a");
            hasher.update(b"bc");
            hasher.digest().hex()
        };
        // FIPS 180-2, appendices B.1 and C.1.
        assert_eq!(
            digest(Algorithm::Sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(digest(Algorithm::Sha512).starts_with("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea2"));
    }

    #[test]
    fn a_state_goes_on_wherever_it_was_cut_and_nonsense_is_none() {
        let bytes: Vec<u8> = (0..=255).cycle().take(400).collect();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let mut whole = Hasher::new(algorithm);
            whole.update(&bytes);
            let whole = whole.digest();
            for cut in 0..bytes.len() {
                let mut first = Hasher::new(algorithm);
                first.update(&bytes[..cut]);
                let mut second = Hasher::resume(algorithm, &first.state()).unwrap();
                second.update(&bytes[cut..]);
                assert_eq!(second.digest(), whole, "{algorithm:?} cut at {cut}");
            }
            for nonsense in ["", "?", "AAAA", &BASE64.encode(&[255; 105]), &BASE64.encode(&[255; 209])] {
                assert!(Hasher::resume(algorithm, nonsense).is_none(), "{nonsense}");
            }
        }
        let other = Hasher::new(Algorithm::Sha512).state();
        assert!(Hasher::resume(Algorithm::Sha256, &other).is_none());
    }
}
