//! A device with a passkey, and the browser on it: the crate `passkey`.

use data_encoding::BASE64URL_NOPAD;
use passkey::{
    authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod},
    client::{Client, DefaultClientData},
    crypto::rust_crypto::RustCryptoBackend,
    types::{
        Passkey,
        ctap2::{Aaguid, Ctap2Error},
    },
};
use serde_json::Value;
use url::Url;

/// Somebody who agrees to everything, and is verified when that is asked for.
struct Person;

#[async_trait::async_trait]
impl UserValidationMethod for Person {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _: UiHint<'a, Passkey>,
        presence: bool,
        verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence, verification })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

/// Keeps one passkey, which it finds without being told a name.
pub(crate) struct Device {
    client: Client<Option<Passkey>, Person, RustCryptoBackend, public_suffix::PublicSuffixList, ()>,
    origin: Url,
}

impl Device {
    /// Without a passkey.
    pub(crate) fn new(origin: &str) -> Self {
        let authenticator = Authenticator::new(Aaguid::new_empty(), None, Person, RustCryptoBackend);
        let client = Client::new(authenticator).allows_insecure_localhost(true);
        Self { client, origin: origin.parse().unwrap() }
    }

    /// Makes a passkey, as `navigator.credentials.create` does.
    pub(crate) async fn create(&mut self, options: &Value) -> Value {
        let request = serde_json::from_value(options.clone()).unwrap();
        let made = self.client.register(&self.origin, request, DefaultClientData).await.unwrap();
        as_browsers_send(serde_json::to_value(made).unwrap())
    }

    /// Uses it, as `navigator.credentials.get` does.
    pub(crate) async fn get(&mut self, options: &Value) -> Value {
        let request = serde_json::from_value(options.clone()).unwrap();
        let shown = self.client.authenticate(&self.origin, request, DefaultClientData).await.unwrap();
        as_browsers_send(serde_json::to_value(shown).unwrap())
    }

    /// Uses it without a look at who uses it, whatever the page asks for.
    pub(crate) async fn get_unverified(&mut self, options: &Value) -> Value {
        let mut options = options.clone();
        options["publicKey"]["userVerification"] = "discouraged".into();
        self.get(&options).await
    }
}

/// As the page sends it: buffers as base64url, and the results of extensions under another name.
fn as_browsers_send(mut credential: Value) -> Value {
    let results = credential.as_object_mut().unwrap().remove("clientExtensionResults");
    credential["extensions"] = results.filter(Value::is_object).unwrap_or_else(|| serde_json::json!({}));
    encode(&mut credential["rawId"]);
    for field in credential["response"].as_object_mut().unwrap().values_mut() {
        encode(field);
    }
    credential
}

fn encode(value: &mut Value) {
    let bytes = value.as_array().map(|array| array.iter().map(Value::as_u64).collect::<Option<Vec<_>>>());
    if let Some(Some(bytes)) = bytes {
        let bytes: Vec<u8> = bytes.into_iter().map(|byte| byte.try_into().unwrap()).collect();
        *value = BASE64URL_NOPAD.encode(&bytes).into();
    }
}
