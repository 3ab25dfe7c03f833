//! Capabilities, dropped from every set that a process has.

use caps::{CapSet, Capability as Cap, CapsHashSet};

use super::Capability;

/// Drops all capabilities but these, and lets these go over into programs that are started.
pub(super) fn keep_only(keep: &[Capability]) {
    let wanted: CapsHashSet = keep.iter().copied().map(cap).collect();
    let held = |set| caps::read(None, set).unwrap_or_default();
    let kept: CapsHashSet = held(CapSet::Permitted).intersection(&wanted).copied().collect();
    // Not tried where there is nothing to drop: units filter the system call out.
    let base = [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable];
    let is_bare = kept.is_empty() && base.into_iter().all(|set| held(set).is_empty());
    if is_bare {
        return;
    }
    // First, since it takes a capability. Without that one none is gained by exec either, because
    // of no_new_privs.
    for capability in held(CapSet::Bounding).difference(&kept) {
        if let Err(error) = caps::drop(None, CapSet::Bounding, *capability) {
            tracing::debug!("the capability bounding set could not be lowered: {error}");
            break;
        }
    }
    // The inheritable set first: it may hold only what is permitted.
    for set in [CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        if let Err(error) = caps::set(None, set, &kept) {
            tracing::warn!("capabilities could not be dropped: {error}");
        }
    }
    for capability in &kept {
        if let Err(error) = caps::raise(None, CapSet::Ambient, *capability) {
            tracing::debug!("{capability} does not go over into nats-server: {error}");
        }
    }
}

const fn cap(capability: Capability) -> Cap {
    match capability {
        Capability::BindLowPorts => Cap::CAP_NET_BIND_SERVICE,
        Capability::OthersFiles => Cap::CAP_DAC_OVERRIDE,
    }
}
