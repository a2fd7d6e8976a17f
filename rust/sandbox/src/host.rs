//! What the plan has to know about the machine and this process.

use dissolver_sys::walls::{Wall, look, stands};
use rustix::fs::statfs;
use rustix::thread::capabilities;

use crate::capabilities::CapabilitySet;
use crate::report::SandboxError;

/// The file system type of a pure cgroup v2 hierarchy: `CGROUP2_SUPER_MAGIC`.
pub(crate) const CGROUP2_MAGIC: u64 = 0x6367_7270;
/// The length of an identity map that covers every ID: that of the initial namespace.
const ALL_IDS: u64 = u32::MAX as u64;
/// The group that owns terminals, by long custom.
pub const TERMINAL_GROUP: u32 = 5;

/// Facts about where a sandbox is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Whether this process is root in a user namespace only.
    pub is_rootless: bool,
    /// Whether device nodes can be made.
    pub makes_devices: bool,
    /// Whether the group of terminals exists here.
    pub has_terminal_group: bool,
    /// Whether supplementary groups can be set.
    pub sets_groups: bool,
    /// Whether control groups are the unified hierarchy and nothing else.
    pub has_cgroup2: bool,
    /// What this process itself may do.
    pub permitted: CapabilitySet,
    /// How many capabilities the kernel knows.
    pub capability_count: u32,
}

impl Host {
    /// Looks at this process and this machine.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Setup`] if `/proc` cannot be read.
    pub fn look() -> Result<Host, SandboxError> {
        look();
        let uid_map = IdMap::read("/proc/self/uid_map")?;
        let gid_map = IdMap::read("/proc/self/gid_map")?;
        let permitted = capabilities(None)
            .map_err(|errno| SandboxError::operation("read capabilities", errno))?;
        let permitted = CapabilitySet(permitted.permitted.bits());
        let is_rootless = !uid_map.is_initial();
        let may_make_devices = CapabilitySet::from_names(&["CAP_MKNOD"])?;
        Ok(Host {
            is_rootless,
            makes_devices: !is_rootless
                && stands(Wall::DeviceNodes)
                && permitted.and(may_make_devices) == may_make_devices,
            has_terminal_group: gid_map.covers(TERMINAL_GROUP),
            // The file is missing where the kernel cannot deny it.
            sets_groups: !std::fs::read("/proc/self/setgroups")
                .is_ok_and(|word| word.starts_with(b"deny")),
            has_cgroup2: statfs("/sys/fs/cgroup")
                .is_ok_and(|facts| facts.f_type as u64 == CGROUP2_MAGIC),
            permitted,
            capability_count: read_capability_count()?,
        })
    }
}

fn read_capability_count() -> Result<u32, SandboxError> {
    let path = "/proc/sys/kernel/cap_last_cap";
    let text = read_text(path)?;
    let last: u32 = text
        .trim()
        .parse()
        .map_err(|_| unreadable(path, rustix::io::Errno::INVAL))?;
    Ok((last + 1).min(u64::BITS))
}

/// The map of a user namespace's IDs to its parent's.
struct IdMap(Vec<(u64, u64, u64)>);

impl IdMap {
    fn read(path: &str) -> Result<IdMap, SandboxError> {
        let text = read_text(path)?;
        let line = |line: &str| {
            let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
            Some((numbers.next()??, numbers.next()??, numbers.next()??))
        };
        Ok(IdMap(text.lines().filter_map(line).collect()))
    }

    fn is_initial(&self) -> bool {
        self.0 == [(0, 0, ALL_IDS)]
    }

    fn covers(&self, id: u32) -> bool {
        self.0
            .iter()
            .any(|(inside, _, length)| (*inside..inside + length).contains(&u64::from(id)))
    }
}

fn read_text(path: &str) -> Result<String, SandboxError> {
    std::fs::read_to_string(path).map_err(|error| {
        unreadable(
            path,
            rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
        )
    })
}

fn unreadable(path: &str, errno: rustix::io::Errno) -> SandboxError {
    SandboxError::setup("read", path, errno)
}
