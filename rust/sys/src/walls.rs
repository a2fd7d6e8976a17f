//! Walls that can be taken away, one at a time, to see that a test falls.
//!
//! Only a core compiled with the feature `breach` has that switch: the environment variable
//! `DISSOLVER_BREACH` with names and commas between them. Everywhere else [`stands`] is the
//! constant `true`.

/// Something that keeps what runs inside from what is outside. `docs/security.md` has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// Targets of the system's own mounts are no symbolic links.
    TargetLinks,
    /// What is found after such a mount is what was mounted.
    MountVerify,
    /// Other targets lead neither to the root itself nor to the kernel's own file systems.
    Targets,
    /// Magic links of `/proc` are never followed.
    MagicLinks,
    /// Device files work in the container's own device directory only.
    NoDevices,
    /// Device nodes are the container's own, or cannot be changed.
    DeviceNodes,
    /// The kernel refuses other devices, wherever their files are.
    DeviceRules,
    /// What is executed first is no file of the host.
    FirstProgram,
    /// A process on its way into a container is hidden from those inside.
    Undumpable,
    /// Standard streams that lead nowhere are the container's own.
    OwnNull,
    /// What covers masked files cannot be changed.
    MaskedReadOnly,
    /// Paths that tell of the machine are masked.
    Masks,
    /// Paths that change the machine are read-only.
    ReadOnlyPaths,
    /// Descriptors that were inherited are closed.
    CloseDescriptors,
    /// Capabilities are dropped.
    Capabilities,
    /// System calls are filtered.
    Seccomp,
    /// The session keyring is a new one.
    Keyring,
    /// Only marks that overlayfs itself wrote are obeyed in an upper directory.
    OverlayMarks,
}

/// Whether a wall stands: always, but in builds for the tests of walls.
#[cfg(not(feature = "breach"))]
#[inline(always)]
#[must_use]
pub const fn stands(_wall: Wall) -> bool {
    true
}

#[cfg(feature = "breach")]
pub use breach::{look, stands};

/// Does nothing but in builds for the tests of walls.
#[cfg(not(feature = "breach"))]
#[inline(always)]
pub const fn look() {}

#[cfg(feature = "breach")]
mod breach {
    use std::sync::OnceLock;

    use super::Wall;

    static MISSING: OnceLock<String> = OnceLock::new();

    /// Reads which walls are missing, before there is a child, which must not read anything.
    pub fn look() {
        MISSING.get_or_init(|| std::env::var("DISSOLVER_BREACH").unwrap_or_default());
    }

    /// Whether a wall stands.
    pub fn stands(wall: Wall) -> bool {
        let name = match wall {
            Wall::TargetLinks => "target-links",
            Wall::MountVerify => "mount-verify",
            Wall::Targets => "targets",
            Wall::MagicLinks => "magic-links",
            Wall::NoDevices => "nodev",
            Wall::DeviceNodes => "device-nodes",
            Wall::DeviceRules => "device-rules",
            Wall::FirstProgram => "first-program",
            Wall::Undumpable => "undumpable",
            Wall::OwnNull => "own-null",
            Wall::MaskedReadOnly => "masked-read-only",
            Wall::Masks => "masks",
            Wall::ReadOnlyPaths => "read-only-paths",
            Wall::CloseDescriptors => "close-descriptors",
            Wall::Capabilities => "capabilities",
            Wall::Seccomp => "seccomp",
            Wall::Keyring => "keyring",
            Wall::OverlayMarks => "overlay-marks",
        };
        let missing = MISSING.get().map_or("", String::as_str);
        !missing.split(',').any(|one| one == name)
    }
}
