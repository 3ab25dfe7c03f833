//! The ceremonies of WebAuthn: what the browser is asked for, and whether what comes back is right.
//!
//! Every passkey is a discoverable one, so that nobody types a name, and every ceremony asks the
//! device to check who uses it. Each is begun here, kept in memory and finished once.

use std::time::Instant;

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use webauthn_rs::{
    Webauthn, WebauthnBuilder,
    prelude::{
        AuthenticationResult, CreationChallengeResponse, CredentialID, DiscoverableAuthentication, Passkey,
        PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential, Uuid,
        WebauthnError,
    },
};
use webauthn_rs_proto::ResidentKeyRequirement;

use super::{
    name::UserName,
    origin::{NoPasskeys, Origin},
    pending::{LIFE, Pending},
    secret::Token,
};
use crate::SessionId;

/// A ceremony cannot be begun, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    /// Not at this origin.
    #[error(transparent)]
    NoPasskeys(#[from] NoPasskeys),
    /// It was finished already, is too old, or was begun by somebody else.
    #[error("this took too long, or was done already: begin again")]
    Unknown,
    /// Nobody has this passkey here.
    #[error(
        "this passkey is not known here: it may have been removed; choose another one, or ask for a new invitation"
    )]
    UnknownPasskey,
    /// The device did not check who uses it.
    #[error("the device did not check that it is you: turn on its PIN, fingerprint or face, and try again")]
    NotVerified,
    /// The device would not find it again by itself.
    #[error(
        "this device keeps no passkeys that it can offer by itself: choose another one, or a password manager"
    )]
    NotKept,
    /// The answer is not right.
    #[error(
        "the answer of the passkey is not right ({0}): try again, at the address that `console.origin` names"
    )]
    Refused(WebauthnError),
    /// The library refused to begin.
    #[error("the ceremony cannot begin: {0}")]
    Begin(#[source] WebauthnError),
}

/// What was begun.
pub(crate) enum Begun {
    /// Anybody's login.
    Login(DiscoverableAuthentication),
    /// Somebody who is logged in shows a passkey again.
    Prove { session: SessionId, state: PasskeyAuthentication },
    /// Somebody who is logged in adds a passkey.
    Add { session: SessionId, state: PasskeyRegistration },
    /// Somebody enrols with a token.
    Enrol { token: Token, user_id: Uuid, state: PasskeyRegistration },
}

/// Whom a passkey is made for.
pub(crate) struct Person<'a> {
    pub(crate) name: &'a UserName,
    pub(crate) id: Uuid,
    /// Passkeys that the user has: the device says so instead of making another.
    pub(crate) passkeys: &'a [Passkey],
}

/// Begins and finishes ceremonies.
pub(crate) struct Ceremonies {
    webauthn: Result<Webauthn, NoPasskeys>,
    begun: Pending<Begun>,
}

impl Ceremonies {
    /// At `origin`, whose host is what passkeys are bound to. `node` is shown by the browser.
    pub(crate) fn new(origin: &Origin, node: &str) -> Self {
        let webauthn = origin.passkeys().map(|()| {
            let name = format!("leafbox {node}");
            WebauthnBuilder::new(origin.host(), origin.url())
                .map(|builder| {
                    let builder = builder.rp_name(&name).timeout(LIFE);
                    // A tunnel may have another port on the side of the browser.
                    builder.allow_any_port(origin.is_localhost())
                })
                .and_then(WebauthnBuilder::build)
                .expect("an origin with a name is what passkeys are bound to")
        });
        Self { webauthn, begun: Pending::default() }
    }

    /// Begins what is finished under the name returned.
    pub(crate) fn begin(&self, state: Begun) -> String {
        self.begun.begin(state, Instant::now())
    }

    /// What was begun under this name, once.
    pub(crate) fn take(&self, name: &str) -> Result<Begun, CeremonyError> {
        self.begun.finish(name, Instant::now()).ok_or(CeremonyError::Unknown)
    }

    /// Asks for any passkey that the browser knows for this place.
    pub(crate) fn ask_anybody(&self) -> Result<(Value, DiscoverableAuthentication), CeremonyError> {
        let begun = self.webauthn()?.start_discoverable_authentication();
        let (mut options, state) = begun.map_err(CeremonyError::Begin)?;
        // The page says which of its two ways it takes.
        options.mediation = None;
        Ok((json(&options), state))
    }

    /// Asks for one of a user's passkeys.
    pub(crate) fn ask(&self, passkeys: &[Passkey]) -> Result<(Value, PasskeyAuthentication), CeremonyError> {
        let begun = self.webauthn()?.start_passkey_authentication(passkeys);
        let (options, state) = begun.map_err(CeremonyError::Begin)?;
        Ok((json(&options), state))
    }

    /// Asks for a new passkey.
    pub(crate) fn ask_new(&self, person: &Person<'_>) -> Result<(Value, PasskeyRegistration), CeremonyError> {
        let known: Vec<CredentialID> = person.passkeys.iter().map(|known| known.cred_id().clone()).collect();
        let name = person.name.as_str();
        let begun = self.webauthn()?.start_passkey_registration(person.id, name, name, Some(known));
        let (mut options, state) = begun.map_err(CeremonyError::Begin)?;
        require_discoverable(&mut options);
        Ok((json(&options), state))
    }

    /// Whose passkey answers a login: the user's id and the credential id, as claimed.
    pub(crate) fn identify(&self, answer: &PublicKeyCredential) -> Result<(Uuid, String), CeremonyError> {
        let claimed = self.webauthn()?.identify_discoverable_authentication(answer);
        let (user, id) = claimed.map_err(CeremonyError::Refused)?;
        Ok((user, BASE64URL_NOPAD.encode(id)))
    }

    /// Checks the answer of a login with the passkey that it names.
    pub(crate) fn check_login(
        &self,
        answer: &PublicKeyCredential,
        state: DiscoverableAuthentication,
        passkey: &Passkey,
    ) -> Result<AuthenticationResult, CeremonyError> {
        let checked = self.webauthn()?.finish_discoverable_authentication_v2(answer, state, passkey);
        verified(checked)
    }

    /// Checks the answer of somebody who is logged in.
    pub(crate) fn check(
        &self,
        answer: &PublicKeyCredential,
        state: &PasskeyAuthentication,
    ) -> Result<AuthenticationResult, CeremonyError> {
        verified(self.webauthn()?.finish_passkey_authentication(answer, state))
    }

    /// Checks a new passkey.
    pub(crate) fn check_new(
        &self,
        answer: &RegisterPublicKeyCredential,
        state: &PasskeyRegistration,
    ) -> Result<Passkey, CeremonyError> {
        if answer.extensions.cred_props.as_ref().is_some_and(|props| props.rk == Some(false)) {
            return Err(CeremonyError::NotKept);
        }
        self.webauthn()?.finish_passkey_registration(answer, state).map_err(refused)
    }

    fn webauthn(&self) -> Result<&Webauthn, NoPasskeys> {
        self.webauthn.as_ref().map_err(|why| *why)
    }
}

/// The credential id of a passkey, as it is stored.
pub(crate) fn id_of(passkey: &Passkey) -> String {
    BASE64URL_NOPAD.encode(passkey.cred_id().as_ref())
}

/// The library asks devices not to keep a passkey, which conditional UI would then never offer. What
/// is kept is the device's matter: the state that the answer is checked against says nothing of it.
fn require_discoverable(options: &mut CreationChallengeResponse) {
    if let Some(selection) = &mut options.public_key.authenticator_selection {
        selection.resident_key = Some(ResidentKeyRequirement::Required);
        selection.require_resident_key = true;
    }
}

fn verified(
    checked: Result<AuthenticationResult, WebauthnError>,
) -> Result<AuthenticationResult, CeremonyError> {
    let result = checked.map_err(refused)?;
    // The library has refused this already; a login must not hang on that alone.
    if result.user_verified() { Ok(result) } else { Err(CeremonyError::NotVerified) }
}

fn refused(error: WebauthnError) -> CeremonyError {
    match error {
        WebauthnError::UserNotVerified => CeremonyError::NotVerified,
        error => CeremonyError::Refused(error),
    }
}

fn json(options: &impl serde::Serialize) -> Value {
    serde_json::to_value(options).expect("options have a JSON form")
}
