//! `leafbox enroll status`: how far a box is, and what to do next.

use anyhow::Result;
use settings::Settings;

use super::{device::Device, kind};
use crate::{cli, say, setup};

/// Prints where the box stands; 0 when it is enrolled and has all that the fleet wants, else 1.
pub(super) fn run(settings: Settings, keys: &cli::DeviceKeys) -> Result<u8> {
    let device = Device::of(settings, keys)?;
    let Settings { node, fleet, .. } = &device.settings;
    say!("{}, {} of the fleet {}", node.name, kind(node.role), fleet.name);
    let (wanted, missing) = (device.wanted().len(), device.missing().len());
    let root = device.places.root().display();
    let Some(vault) = device.vault()? else {
        say!("  keys      none in {root}");
        say!("");
        say!("next: `leafbox enroll request`");
        return Ok(runtime::exit::FAILURE);
    };
    say!("  keys      {} of {wanted} in {root}; {}", wanted - missing, device.protection()?);
    if missing == 0 {
        say!("  request   {}", device.request(vault)?.fingerprint());
    }
    let mut enrolled = device.places.marker().exists();
    match setup::previous(&device.jwts()) {
        Ok(Some(jwts)) if enrolled => {
            let operator = jwts.operator_claims();
            say!("  operator  {} ({})", operator.subject, operator.name);
            say!("  accounts  {}", jwts.accounts.len());
        }
        Ok(_) => enrolled = false,
        Err(error) => {
            enrolled = false;
            say!("  accounts  ! {}", crate::explain(&error));
        }
    }
    say!("");
    match (enrolled, missing) {
        (true, 0) => {
            say!("the box is enrolled");
            return Ok(runtime::exit::SUCCESS);
        }
        (true, _) => say!(
            "the box is enrolled, and fleet.toml has {missing} roles more since; next: `leafbox enroll request`, \
             to have them approved"
        ),
        (false, 0) => say!(
            "next: `leafbox enroll approve` on the operator's machine (`leafbox enroll request` prints the \
             request again), then `leafbox enroll accept` here"
        ),
        (false, _) => say!("next: `leafbox enroll request`, which makes what is missing"),
    }
    Ok(runtime::exit::FAILURE)
}
