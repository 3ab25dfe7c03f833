//! Which blobs were read lately: one that is read once is not hot.
//!
//! Most blobs of an edge box are pulled once, when a release comes. Keeping those would write every
//! release to its flash twice, and make its first pull slower.

use std::collections::{HashSet, VecDeque};

use crate::Digest;

/// Blobs that are remembered: the layers of a few hundred images, in half a mebibyte.
const REMEMBERED: usize = 4096;

/// Remembers who knocked before, and forgets those who knocked longest ago.
#[derive(Default)]
pub(super) struct Doorkeeper {
    known: HashSet<Digest>,
    in_order: VecDeque<Digest>,
}

impl Doorkeeper {
    /// Whether it knocked before; remembers it if not.
    pub(super) fn knows(&mut self, digest: &Digest) -> bool {
        if !self.known.insert(digest.clone()) {
            return true;
        }
        self.in_order.push_back(digest.clone());
        if self.in_order.len() > REMEMBERED
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Algorithm;

    #[test]
    fn it_knows_who_came_lately_and_forgets_who_came_first() {
        let digest = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            Digest::new(Algorithm::Sha256, &bytes).unwrap()
        };
        let mut doorkeeper = Doorkeeper::default();
        for number in 0..=REMEMBERED {
            assert!(!doorkeeper.knows(&digest(number)), "{number}");
        }
        assert!(doorkeeper.knows(&digest(1)));
        assert!(!doorkeeper.knows(&digest(0)), "one too many came after it");
        assert!(!doorkeeper.knows(&digest(1)), "it came longest ago, however often");
        assert_eq!((doorkeeper.known.len(), doorkeeper.in_order.len()), (REMEMBERED, REMEMBERED));
    }
}
