//! What a node must have to be ready, and what to do when it has not.

use std::{io, path::Path};

use async_nats::{Client, RequestErrorKind, connection::State};
use runtime::{Disk, Monitoring, MonitoringError};
use serde::{Deserialize, Serialize};
use settings::ByteSize;

use crate::applied::Applied;

/// One check of readiness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked: `nats-server`, `jetstream`, `stores` or `disk`.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found and, when it is not ok, what to do.
    pub detail: String,
}

impl Check {
    fn new(name: &str, result: Result<String, String>) -> Self {
        let ok = result.is_ok();
        Self { name: name.to_owned(), ok, detail: result.unwrap_or_else(|problem| problem) }
    }
}

/// nats-server answers and holds all that it should.
pub(crate) async fn nats_server(monitoring: &Monitoring) -> Check {
    let result = match monitoring.healthz().await {
        Ok(()) => Ok("healthy".to_owned()),
        Err(MonitoringError::Refused { body, .. }) => {
            let why = serde_json::from_str::<Healthz>(&body).map_or(body, |healthz| healthz.error);
            Err(format!(
                "nats-server is not healthy: {why}; wait if it has just started, else read `leafbox logs`"
            ))
        }
        Err(error) => Err(format!("{error}; start it, or read `leafbox logs` if it should be running")),
    };
    Check::new("nats-server", result)
}

#[derive(Deserialize)]
struct Healthz {
    error: String,
}

/// A client can use JetStream: it is asked through a real connection, and the last heartbeat must
/// have been stored. nats-server's own `/healthz` stays ok on a full disk, when publishes get no
/// answer at all.
pub(crate) async fn jetstream(nats: &Client, last_write: Option<&str>) -> Check {
    if nats.connection_state() != State::Connected {
        let text = "this daemon is not connected to nats-server: if nats-server is healthy, look at `health.creds` and at refused connections in its log";
        return Check::new("jetstream", Err(text.to_owned()));
    }
    let result = match nats.request("$JS.API.INFO", "".into()).await {
        Ok(answer) => match serde_json::from_slice::<Info>(&answer.payload) {
            Ok(Info { error: None }) => Ok("usable".to_owned()),
            Ok(Info { error: Some(error) }) => {
                let text = error.description;
                Err(format!("JetStream refuses the LEAFBOX account: {text}; read `leafbox logs`"))
            }
            Err(error) => Err(format!("JetStream's answer is not understood: {error}")),
        },
        Err(error) if error.kind() == RequestErrorKind::NoResponders => {
            Err("JetStream is off: look for the reason in `leafbox logs`; after a full disk, free space and restart the node".to_owned())
        }
        Err(error) => Err(format!("JetStream does not answer: {error}; read `leafbox logs`")),
    };
    let result = result.and_then(|usable| match last_write {
        None => Ok(usable),
        Some(problem) => Err(format!(
            "JetStream does not store: {problem}; look at the free space of the disk and read `leafbox logs`"
        )),
    });
    Check::new("jetstream", result)
}

/// JetStream did not answer at all.
pub(crate) fn jetstream_is_silent(deadline: std::time::Duration) -> Check {
    Check::new("jetstream", Err(format!("JetStream gave no answer within {deadline:?}: read `leafbox logs`")))
}

#[derive(Deserialize)]
struct Info {
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    description: String,
}

/// The stores that the fleet declares are there.
pub(crate) fn stores(data: &Path) -> Check {
    let result = match Applied::read(data) {
        Err(error) => Err(error.to_string()),
        Ok(Applied { ok: true, at, waiting, .. }) if waiting.is_empty() => Ok(format!("applied {at}")),
        Ok(Applied { ok: true, at, waiting, .. }) => {
            Ok(format!("applied {at}; waiting: {}", waiting.join("; ")))
        }
        Ok(Applied { at, waiting, .. }) => {
            let what = if waiting.is_empty() { "no reason given".to_owned() } else { waiting.join("; ") };
            Err(format!("the apply of {at} failed ({what}): see `leafbox plan`, then run `leafbox apply`"))
        }
    };
    Check::new("stores", result)
}

/// The disk has more free than is held in reserve.
pub(crate) fn disk(disk: Result<&Disk, &io::Error>, reserve: ByteSize, data: &Path) -> Check {
    let data = data.display();
    let result = match disk {
        Ok(&Disk { available, .. }) if available >= reserve.bytes() => {
            Ok(format!("{} free, {reserve} in reserve", human(available)))
        }
        Ok(&Disk { available, .. }) => Err(format!(
            "the disk of {data} has {} free, less than its reserve of {reserve}: free space there, or lower `jetstream.reserve`",
            human(available)
        )),
        Err(error) => {
            Err(format!("the disk of {data} cannot be looked at: {error}; check that it is mounted"))
        }
    };
    Check::new("disk", result)
}

/// Bytes as people say them: in GiB with one decimal, in MiB below that.
fn human(bytes: u64) -> String {
    // Rounded down: what is said to be free is there.
    let tenths = (bytes >> 20) * 10 / 1024;
    if tenths >= 10 { format!("{}.{} GiB", tenths / 10, tenths % 10) } else { format!("{} MiB", bytes >> 20) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_below_its_reserve_says_what_to_do_and_one_above_is_ok() {
        let full = Disk { total: 1 << 30, available: 5 << 20 };
        let data = Path::new("/var/lib/leafbox");
        let below = disk(Ok(&full), ByteSize::mib(6), data);
        assert!(!below.ok);
        assert!(
            below.detail.contains("5 MiB free") && below.detail.contains("`jetstream.reserve`"),
            "{below:?}"
        );
        assert!(disk(Ok(&full), ByteSize::mib(5), data).ok);
        assert!(!disk(Err(&io::ErrorKind::Other.into()), ByteSize::mib(5), data).ok);
    }

    #[test]
    fn amounts_are_told_as_people_say_them() {
        for (bytes, told) in [
            (70_894 << 20, "69.2 GiB"),
            (1 << 30, "1.0 GiB"),
            ((1 << 30) - 1, "1023 MiB"),
            (512 << 20, "512 MiB"),
            (0, "0 MiB"),
        ] {
            assert_eq!(human(bytes), told);
        }
    }
}
