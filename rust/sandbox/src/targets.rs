//! Where mounts may go, as far as their own words tell.

use crate::report::SandboxError;
use crate::spec::Mount;

/// What may be covered in `/proc`: runc's list, which tools such as lxcfs need.
const FIGURES_OF_PROC: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "net/dev",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

/// Refuses to cover what programs believe of `/proc`, but for files that only tell figures.
///
/// What is mounted elsewhere by way of a link of the image is looked at where it happens.
pub(crate) fn refuse_proc(mount: &Mount) -> Result<(), SandboxError> {
    let target = match mount {
        Mount::Bind { target, .. }
        | Mount::Tmpfs { target, .. }
        | Mount::Layers { target, .. }
        | Mount::File { target, .. } => target,
        Mount::Proc { .. }
        | Mount::Sysfs { .. }
        | Mount::Devpts { .. }
        | Mount::Mqueue { .. }
        | Mount::Cgroup { .. }
        | Mount::Dev { .. } => return Ok(()),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    match parts.split_first() {
        Some((&"proc", rest)) if !FIGURES_OF_PROC.contains(&rest.join("/").as_str()) => {
            Err(SandboxError::BadSpec {
                reason: format!(
                    "nothing can be mounted on `{target}`, which the kernel shows itself in"
                ),
            })
        }
        _ => Ok(()),
    }
}
