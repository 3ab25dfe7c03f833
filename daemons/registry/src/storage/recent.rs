//! Small blobs that were read last, in memory: manifests, mostly.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;

use crate::Digest;

/// Bytes of all of them.
const TOTAL: usize = 4 << 20;
/// Bytes of one.
const LARGEST: usize = 256 << 10;

/// Verified contents by digest. What was used longest ago makes room.
#[derive(Default)]
pub(super) struct Recent(Mutex<Held>);

#[derive(Default)]
struct Held {
    contents: HashMap<Digest, (u64, Bytes)>,
    bytes: usize,
    clock: u64,
}

impl Recent {
    pub(super) fn get(&self, digest: &Digest) -> Option<Bytes> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.clock += 1;
        let clock = held.clock;
        let (used, bytes) = held.contents.get_mut(digest)?;
        *used = clock;
        Some(bytes.clone())
    }

    pub(super) fn put(&self, digest: &Digest, bytes: &Bytes) {
        if bytes.len() > LARGEST {
            return;
        }
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.clock += 1;
        let clock = held.clock;
        // A copy, since a slice would keep the larger buffer that it is of.
        let added = held.contents.insert(digest.clone(), (clock, Bytes::copy_from_slice(bytes)));
        held.bytes += bytes.len();
        held.bytes -= added.map_or(0, |(_, old)| old.len());
        while held.bytes > TOTAL {
            // Some hundred entries at most, and only when there is something new.
            let oldest = held.contents.iter().min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(digest, _)| digest.clone()) else { return };
            if let Some((_, gone)) = held.contents.remove(&oldest) {
                held.bytes -= gone.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Algorithm;

    fn digest(number: u8) -> Digest {
        Digest::new(Algorithm::Sha256, &[number; 32]).unwrap()
    }

    #[test]
    fn what_was_used_longest_ago_makes_room_and_large_ones_are_not_kept() {
        let recent = Recent::default();
        let bytes = Bytes::from(vec![0; LARGEST]);
        let fit = u8::try_from(TOTAL / LARGEST).unwrap();
        (0..fit).for_each(|number| recent.put(&digest(number), &bytes));
        assert!(recent.get(&digest(0)).is_some());
        recent.put(&digest(1), &bytes);
        recent.put(&digest(fit), &bytes);
        assert!(recent.get(&digest(2)).is_none());
        assert!([0, 1, 3, fit].iter().all(|number| recent.get(&digest(*number)).is_some()));
        recent.put(&digest(200), &Bytes::from(vec![0; LARGEST + 1]));
        assert!(recent.get(&digest(200)).is_none());
    }
}
