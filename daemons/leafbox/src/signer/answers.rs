//! What the signer answers: each verb by the function that its command uses.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail};
use identity::{AccountJwt, EnrolledNode, KeyStore, UserRequest, claims::SigningKeyClaim};
use serde_json::Value;
use settings::{LEAFBOX_ACCOUNT, Name, SYSTEM_ACCOUNT, builtin::RESERVED_PREFIX};
use sse_bridge::signing::{
    About, Approve, Ask, EnrolledBox, LetIn, Look, Mint, Minted, Offer, Reply, Revoke, Signer as Itself,
    TakeBack, Told,
};
use tokio::sync::Mutex;

use super::events::{self, Audit, Event, What};
use crate::{
    commands::{
        enroll::{nodes, offer},
        user,
    },
    session::Session,
};

/// Answers for the keys of this machine.
pub(super) struct Signer {
    session: Arc<Session>,
    audit: Audit,
    /// Held by who signs: the next one begins with what was signed before.
    signing: Mutex<()>,
}

impl Signer {
    pub(super) fn new(session: Arc<Session>, audit: Audit) -> Self {
        Self { session, audit, signing: Mutex::new(()) }
    }

    /// The reply to a request, as JSON.
    pub(super) async fn answer(&self, verb: &str, request: &[u8]) -> Reply<Value> {
        let answered = match verb {
            About::VERB => self.read::<About>(request, |_| self.about()),
            Look::VERB => self.read::<Look>(request, |look| self.look(&look)),
            Mint::VERB => {
                self.sign::<Mint>(request, |mint| mint.who.clone(), async |mint| self.mint(&mint)).await
            }
            Revoke::VERB => {
                self.sign::<Revoke>(request, |it| it.who.clone(), async |it| self.revoke(&it).await).await
            }
            Approve::VERB => {
                self.sign::<Approve>(request, |it| it.who.clone(), async |it| self.approve(&it).await).await
            }
            TakeBack::VERB => {
                self.sign::<TakeBack>(request, |it| it.who.clone(), async |it| self.take_back(&it).await)
                    .await
            }
            other => {
                Err(anyhow::anyhow!("this signer does not know `{other}`: is it older than the console?"))
            }
        };
        match answered {
            Ok(answer) => Reply::Done(answer),
            Err(error) => Reply::Refused(crate::explain(&error)),
        }
    }

    /// Answers what changes nothing.
    fn read<A: Ask>(&self, request: &[u8], by: impl FnOnce(A) -> Result<A::Answer>) -> Result<Value> {
        Ok(serde_json::to_value(by(parse(request)?)?)?)
    }

    /// Answers what signs, one after the other; what is refused is told of too.
    async fn sign<A: Ask>(
        &self,
        request: &[u8],
        who: impl FnOnce(&A) -> String,
        by: impl AsyncFnOnce(A) -> Result<A::Answer>,
    ) -> Result<Value> {
        let request: A = parse(request)?;
        let who = who(&request);
        let _alone = self.signing.lock().await;
        match by(request).await {
            Ok(answer) => Ok(serde_json::to_value(answer)?),
            Err(error) => {
                let detail = Some(format!("{}: {}", A::VERB, crate::explain(&error)));
                self.audit.record(Event { detail, ..Event::new(What::Refused, who) });
                Err(error)
            }
        }
    }

    fn tell(&self, what: What, who: &str, account: Option<&str>, subject: &str, detail: Option<String>) {
        let about = events::About { account: account.map(str::to_owned), subject: Some(subject.to_owned()) };
        self.audit.record(Event { about, detail, ..Event::new(what, who) });
    }

    fn about(&self) -> Result<Itself> {
        let session = &self.session;
        let (keys, jwts) = (KeyStore::open(&session.keys)?, user::signed(session)?);
        let operator = jwts.operator_claims();
        let fleet = &session.settings.fleet.name;
        let a_box = |node: EnrolledNode| {
            let count = node.public_keys().count();
            EnrolledBox {
                fingerprint: (count > 0).then(|| nodes::fingerprint(fleet, &node)),
                node: node.node.to_string(),
                keys: count,
                since: node.changed_at,
            }
        };
        // A box has a file of that name.
        let boxes = if keys.has_operator() { identity::enrolled(&keys)? } else { Vec::new() };
        let declared = jwts.accounts.iter().filter(|(name, account)| !is_own(name) && !account.is_removed());
        Ok(Itself {
            node: session.settings.node.name.to_string(),
            is_operator: keys.has_operator(),
            operator: [operator.name.clone(), operator.subject.clone()],
            roles: declared.map(|(name, account)| (name.to_string(), roles(account))).collect(),
            boxes: boxes.into_iter().map(a_box).collect(),
        })
    }

    fn mint(&self, mint: &Mint) -> Result<Minted> {
        let session = &self.session;
        let (account, role) = (name(&mint.account)?, name(&mint.role)?);
        if is_own(&account) || role.starts_with(RESERVED_PREFIX) {
            bail!(
                "users of leafbox's own accounts and roles are the nodes': where the keys are, `leafbox user mint \
                 {account} {role}` makes one all the same"
            );
        }
        let signed = user::account_of(&user::signed(session)?, &account)?;
        let known = roles(&signed);
        if !known.iter().any(|known| known == role.as_str()) {
            bail!("{account} has no role {role}: it has {}", known.join(", "));
        }
        let request = UserRequest {
            account: &account,
            account_key: &signed.public_key,
            role: &role,
            name: &mint.name,
            expires: mint.expires_seconds.map(Duration::from_secs),
            tags: &[],
        };
        let signer = user::signer(session, &account, &role)?;
        let jwt = identity::mint_for_with(&signer, &request, &mint.public_key, SystemTime::now())?;
        let expires =
            mint.expires_seconds.map_or("for ever".to_owned(), |seconds| format!("for {seconds} s"));
        let detail = format!("{} with the role {role}, {expires}", mint.name);
        self.tell(What::UserMinted, &mint.who, Some(&account), &mint.public_key, Some(detail));
        Ok(Minted { jwt })
    }

    async fn revoke(&self, revoke: &Revoke) -> Result<Told> {
        let account = name(&revoke.account)?;
        if revoke.user == "*" {
            bail!("all users of an account are revoked by `leafbox user revoke {account} '*'` alone");
        }
        let session = self.session.refreshed()?;
        let keys = nodes::operator_keys(&session)?;
        user::sign_revocation(&session, &keys, &account, &revoke.user)?;
        let pushed = nodes::sign_and_push(&session, &keys).await?.pushed;
        self.tell(What::UserRevoked, &revoke.who, Some(&account), &revoke.user, None);
        Ok(told(&pushed, "cuts the user off"))
    }

    fn look(&self, look: &Look) -> Result<Offer> {
        let offer = offer::Offer::read(&self.session.refreshed_with_nodes()?, &look.request)?;
        let request = offer.request();
        Ok(Offer {
            node: request.node.to_string(),
            kind: offer.kind().to_owned(),
            fleet: request.fleet.to_string(),
            fingerprint: request.fingerprint().to_string(),
            before: offer.before()?,
            may: offer.may(),
        })
    }

    async fn approve(&self, approve: &Approve) -> Result<LetIn> {
        let session = self.session.refreshed_with_nodes()?;
        let offer = offer::Offer::read(&session, &approve.request)?;
        let fingerprint = offer.request().fingerprint().to_string();
        if fingerprint != approve.fingerprint {
            bail!(
                "the request's fingerprint is {fingerprint}, and another one was compared: look at it again"
            );
        }
        let offer::LetIn { answer, pushed } = offer.let_in(&session).await?;
        let node = answer.node.to_string();
        self.tell(What::BoxLetIn, &approve.who, None, &node, Some(format!("fingerprint {fingerprint}")));
        Ok(LetIn { node, answer: answer.armored(), told: told(&pushed, "lets the box join") })
    }

    async fn take_back(&self, take: &TakeBack) -> Result<Told> {
        let session = self.session.refreshed_with_nodes()?;
        let held = nodes::Held::of(&session, &take.node)?;
        let detail = format!("{} keys", held.keys.len());
        let pushed = held.take_back(&session).await?;
        self.tell(What::BoxTakenBack, &take.who, None, &take.node, Some(detail));
        Ok(told(&pushed, "cuts it off"))
    }
}

fn parse<A: Ask>(request: &[u8]) -> Result<A> {
    serde_json::from_slice(request).with_context(|| {
        format!("the request to {} cannot be read: is the console as new as the signer?", A::VERB)
    })
}

fn name(text: &str) -> Result<Name> {
    text.parse().map_err(anyhow::Error::msg)
}

/// Leafbox's own accounts, whose users are its nodes'.
fn is_own(account: &str) -> bool {
    [LEAFBOX_ACCOUNT, SYSTEM_ACCOUNT].contains(&account)
}

/// The roles of a signed account, but for leafbox's own and those of keys that nodes hold.
fn roles(account: &AccountJwt) -> Vec<String> {
    let keys = account.claims().nats.signing_keys.iter();
    let scoped = keys.filter(|key| matches!(key, SigningKeyClaim::Scoped(_))).map(SigningKeyClaim::role);
    let declared = scoped.filter(|role| !role.starts_with(RESERVED_PREFIX) && !role.contains('@'));
    let mut roles: Vec<String> = declared.map(str::to_owned).collect();
    roles.sort();
    roles
}

fn told(pushed: &nodes::Pushed, effect: &str) -> Told {
    Told { in_force: matches!(pushed, nodes::Pushed::Yes), words: pushed.words(effect) }
}
