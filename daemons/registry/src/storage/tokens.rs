//! Tokens of clients, and the key that signs what they are exchanged for.

use std::sync::Arc;

use bytes::Bytes;

use super::{Storage, StorageError, Unavailable, won};
use crate::{Key, records::TokenRecord};

impl Storage {
    /// Adds a token; false when there is one of this id already.
    pub async fn add_token(&self, id: &str, record: &TokenRecord) -> Result<bool, StorageError> {
        Ok(won(self.ledger().create(&Key::Token(id.to_owned()), record).await)?.is_some())
    }

    /// Takes a token away, for every daemon in the moment that it hears of it; false when there was
    /// none.
    pub async fn revoke_token(&self, id: &str) -> Result<bool, StorageError> {
        self.ledger().remove::<TokenRecord>(&Key::Token(id.to_owned())).await
    }

    /// The key that signs Bearer tokens, the same for all daemons of the domain; made once.
    pub async fn bearer_key(&self) -> Result<Arc<Vec<u8>>, StorageError> {
        if let Some(key) = self.index().bearer() {
            return Ok(key);
        }
        let fresh: [u8; 32] = rand::random();
        let made = self.ledger().create_bytes(&Key::Bearer, Bytes::copy_from_slice(&fresh)).await;
        if won(made)?.is_some() {
            return Ok(Arc::new(fresh.to_vec()));
        }
        let key = self.ledger().fetch_bytes(&Key::Bearer).await?;
        let contended = || Unavailable::Contended { key: Key::Bearer.to_string() };
        Ok(key.map(|key| Arc::new(key.to_vec())).ok_or_else(contended)?)
    }
}
