//! glibc's allocator, as who moves large blocks needs it.
//!
//! A blob is read from nats-server in blocks that grow to 1 MiB and are given up a moment later. By
//! itself glibc gives such memory back to the system at once, and the system clears it page by page for
//! the next block: a quarter of the processor time of a read. Its settings can be had without `unsafe` in
//! one way alone: glibc takes them from the environment of a process that begins.

/// Has freed memory kept for the next block, 16 MiB of it at most, by beginning this process once more:
/// same process ID, arguments and descriptors. Does nothing where `GLIBC_TUNABLES` is set already, and
/// where the C library is another. Call it first: what this process did is lost.
///
/// Without a second arena for each thread the memory that is kept is one heap, and less in all.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // A failure leaves a process that is as good, only slower.
    let _ = glibc::begin_again();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::{env, io, os::unix::process::CommandExt, process::Command};

    const VARIABLE: &str = "GLIBC_TUNABLES";
    /// The threshold for blocks with a mapping of their own is the highest that glibc takes.
    const SETTINGS: &str = "glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=33554432:\
                            glibc.malloc.trim_threshold=16777216";

    /// Comes back only if it has nothing to do, or fails.
    pub(super) fn begin_again() -> io::Result<()> {
        if env::var_os(VARIABLE).is_some() {
            return Ok(());
        }
        let mut command = Command::new(env::current_exe()?);
        let mut arguments = env::args_os();
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        Err(command.args(arguments).env(VARIABLE, SETTINGS).exec())
    }
}
