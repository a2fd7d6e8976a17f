//! Capabilities by name.

use crate::report::SandboxError;

/// The names in the kernel's order: the place is the number.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A set of capabilities: bit n stands for the capability with number n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// Collects names such as `CAP_CHOWN`.
    ///
    /// # Errors
    ///
    /// [`SandboxError::BadSpec`] for a name that does not exist.
    pub fn from_names<T: AsRef<str>>(names: &[T]) -> Result<CapabilitySet, SandboxError> {
        let mut set = 0;
        for name in names {
            let name = name.as_ref();
            let number = NAMES.iter().position(|known| *known == name);
            let number = number.ok_or_else(|| SandboxError::BadSpec {
                reason: format!("`{name}` is no capability"),
            })?;
            set |= 1 << number;
        }
        Ok(CapabilitySet(set))
    }

    /// The names in the set, in the kernel's order.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let is_member =
            |(number, name): (usize, &&'static str)| (self.0 >> number & 1 == 1).then_some(*name);
        NAMES.iter().enumerate().filter_map(is_member).collect()
    }

    /// What is in both sets.
    #[must_use]
    pub fn and(self, other: CapabilitySet) -> CapabilitySet {
        CapabilitySet(self.0 & other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree_with_the_kernel() {
        let set =
            CapabilitySet::from_names(&["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"]);
        assert_eq!(set.unwrap(), CapabilitySet(1 | 1 << 21 | 1 << 40));
        assert_eq!(CapabilitySet(1 << 10).names(), ["CAP_NET_BIND_SERVICE"]);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let error = CapabilitySet::from_names(&["CAP_EVERYTHING"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the sandbox specification is wrong: `CAP_EVERYTHING` is no capability"
        );
    }
}
