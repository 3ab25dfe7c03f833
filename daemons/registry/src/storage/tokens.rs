//! Tokens of clients, and the key that signs what they are exchanged for.

use std::sync::Arc;

use bytes::Bytes;

use super::{CasError, Storage, StorageError, Unavailable};
use crate::{Key, records::TokenRecord};

impl Storage {
    /// Adds a token; false when there is one of this id already.
    pub async fn add_token(&self, id: &str, record: &TokenRecord) -> Result<bool, StorageError> {
        match self.ledger().create(&Key::Token(id.to_owned()), record).await {
            Ok(_) => Ok(true),
            Err(CasError::Conflict) => Ok(false),
            Err(CasError::Failed(error)) => Err(error),
        }
    }

    /// Takes a token away, for every daemon in the moment that it hears of it; false when there was
    /// none.
    pub async fn revoke_token(&self, id: &str) -> Result<bool, StorageError> {
        let key = Key::Token(id.to_owned());
        for _ in 0..super::uploads::ATTEMPTS {
            let Some(token) = self.ledger().fetch::<TokenRecord>(&key).await? else { return Ok(false) };
            match self.ledger().delete(&key, token.revision).await {
                Ok(()) => return Ok(true),
                Err(CasError::Conflict) => {}
                Err(CasError::Failed(error)) => return Err(error),
            }
        }
        Err(Unavailable::Contended { key: key.to_string() }.into())
    }

    /// The key that signs Bearer tokens, the same for all daemons of the domain; made once.
    pub async fn bearer_key(&self) -> Result<Arc<Vec<u8>>, StorageError> {
        if let Some(key) = self.index().bearer() {
            return Ok(key);
        }
        let fresh: [u8; 32] = rand::random();
        match self.ledger().create_bytes(&Key::Bearer, Bytes::copy_from_slice(&fresh)).await {
            Ok(_) => Ok(Arc::new(fresh.to_vec())),
            Err(CasError::Failed(error)) => Err(error),
            Err(CasError::Conflict) => {
                let key = self.ledger().fetch_bytes(&Key::Bearer).await?;
                let contended = || Unavailable::Contended { key: Key::Bearer.to_string() };
                Ok(key.map(|key| Arc::new(key.to_vec())).ok_or_else(contended)?)
            }
        }
    }
}
