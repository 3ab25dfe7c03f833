//! `leafbox unit nats-reload`: what `systemctl reload leafbox-nats` does.
//!
//! Nothing is asked of nats-server that it would refuse; see [`crate::reloading`]. Where it refuses
//! all the same, the configuration that it runs with is put back.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use runtime::{Monitoring, holder::command_line, reachable};
use serde::Deserialize;
use settings::Settings;
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::{
    addresses::Addresses,
    cli::Global,
    confinement,
    data::{DataDir, write_whole},
    drift, reloading, session,
    setup::{Keys, Setup},
};

/// How long nats-server may take until it has read its configuration.
const PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);
const RESTART: &str = "`systemctl restart leafbox-nats` applies it";

pub(super) fn run(global: &Global) -> Result<()> {
    let settings = session::load(global)?;
    confinement::of_nats(&settings);
    super::one_thread()?.block_on(reload(settings))
}

async fn reload(settings: Settings) -> Result<()> {
    let data = session::data_dir_of(&settings)?;
    let keys = session::keys_dir(&data);
    let server = main_process(&data)?;
    let bound = Addresses::current(&data, &settings.node)?;
    let monitoring = bound.monitoring.context("node.toml turns the monitoring listener off")?;
    let monitoring = Monitoring::new(reachable(monitoring));
    let file = data.configuration_file();
    let running = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;

    let mut setup = Setup::new(settings.clone(), &keys, Keys::Given)?;
    // What the disk has free is another number each time, and it is only taken when it is larger.
    if settings.node.jetstream.max_storage.is_none()
        && let Some(bytes) =
            reloading::value(&running, "jetstream/max_file").and_then(|text| text.parse().ok())
    {
        setup.set_max_storage(settings::ByteSize(bytes));
    }
    let refused = reloading::needs_restart(&running, &setup.configuration());
    if !refused.is_empty() {
        bail!(
            "nats-server cannot take this while it runs, so nothing was changed; {RESTART}:\n  {}",
            refused.join("\n  ")
        );
    }
    let loaded = load_time(&monitoring).await?;
    setup.write_configuration()?;
    let reloaded = ask(server, &monitoring, &loaded).await;
    if let Err(error) = reloaded {
        write_whole(&file, running.as_bytes(), 0o600)?;
        return Err(error);
    }
    drift::record(settings, &data, &keys)?;
    info!("nats-server runs with its new configuration");
    Ok(())
}

/// The unit's main process, if it is this node's nats-server.
fn main_process(data: &DataDir) -> Result<Pid> {
    let pid = std::env::var("MAINPID").ok().and_then(|text| text.parse::<u32>().ok());
    let pid = pid.context("MAINPID is not set: this is for ExecReload= of leafbox-nats.service")?;
    let file = data.configuration_file();
    let is_ours =
        command_line(pid).is_some_and(|words| words.iter().any(|word| *word == file.to_string_lossy()));
    if !is_ours {
        bail!(
            "process {pid} is not the nats-server that runs on {}: nothing was changed",
            data.root().display()
        );
    }
    Ok(Pid::from_raw(i32::try_from(pid)?))
}

/// Tells nats-server to read its configuration, and waits until it has.
async fn ask(server: Pid, monitoring: &Monitoring, loaded: &str) -> Result<()> {
    kill(server, Signal::SIGHUP).context("nats-server could not be told to reload")?;
    let deadline = Instant::now() + PATIENCE;
    // No answer is no refusal: the old configuration must not be put back under one that it took.
    while load_time(monitoring).await.map_or(true, |now| now == loaded) {
        if Instant::now() >= deadline {
            bail!(
                "nats-server keeps its old configuration: the last line with `Failed to reload` in \
                 `journalctl -u leafbox-nats` says why; {RESTART}"
            );
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// `/varz`, as far as it is needed: a refused reload leaves the time as it was.
#[derive(Deserialize)]
struct Varz {
    config_load_time: String,
}

async fn load_time(monitoring: &Monitoring) -> Result<String> {
    let varz: Varz = monitoring.json("/varz").await.context("nats-server does not answer")?;
    Ok(varz.config_load_time)
}
