"""What a program sees of its surroundings, as text that does not depend on the machine."""

from __future__ import annotations

import re
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

_CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
CAPABILITIES = _CAPABILITIES.split()
"""Names by number: linux/capability.h."""

NOT_EVERYWHERE = re.compile(
    r"/proc/(acpi|asound|interrupts|kcore|keys|latency_stats|sched_debug|scsi|timer_list|timer_stats)"
    r"|/sys/(firmware|devices/.*)"
)
"""Masked where a kernel has them; `test_kernel` asks what each of them says."""

ALSO_NOT_EVERYWHERE = "/proc/sysrq-trigger"
"""Read-only where a kernel has it."""

OF_THE_CONTAINER = {"cgroup2", "devpts", "mqueue", "overlay", "proc", "sysfs", "tmpfs"}
"""Types of file systems that a container has of its own; all others are the host's."""

KINDS = {
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
}


def told(text: str, store: Path) -> str:
    """Tell what ``attacks/surface`` said, without what is another on each machine and run."""
    said = _sections(text)
    mounts = [_Mount(line) for line in said["mounts"]]
    parts = {
        "descriptors": [_descriptor(line, mounts) for line in said["descriptors"]],
        "identity": said["identity"],
        "rights": list(_rights(said["status"])),
        "limits": list(_limits(said["limits"])),
        "namespaces": list(_namespaces(said["namespaces"])),
        "control groups": sorted({line.split(":", 2)[2] for line in said["cgroup"]}),
        "adjustment for the out-of-memory killer": said["oom"],
        "/proc/keys": said["keys"] or ["(empty)"],
        "program": said["program"],
        "environment": [re.sub("^(HOSTNAME)=.*", r"\1=<id>", line) for line in said["environment"]],
        "mounts": sorted({line for mount in mounts for line in mount.told(store)}),
        "masked, where this machine has it": sorted(
            {mount.as_mask() for mount in mounts if NOT_EVERYWHERE.fullmatch(mount.target)}
        ),
        "/dev": [_entry(line) for line in said["devices"]],
    }
    return "\n".join(
        line for name, lines in parts.items() for line in (name, *(f"  {x}" for x in lines))
    )


def _sections(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.replace("\r\n", "\n").splitlines():
        if line.startswith("## "):
            lines = found.setdefault(line[3:], [])
        elif line:
            lines.append(line)
    assert "end" in found, text
    return found


class _Mount:
    """A line of /proc/self/mountinfo (Documentation/filesystems/proc.rst, section 3.5)."""

    def __init__(self, line: str) -> None:
        before, _, after = line.partition(" - ")
        _, _, self.device, self.root, self.target, self.options, *_ = before.split()
        self.kind, self.source, self.settings = after.split()

    def told(self, store: Path) -> Iterator[str]:
        """Tell where it is, what it is, how it may be used; not what other machines lack."""
        if NOT_EVERYWHERE.fullmatch(self.target) or self.target == ALSO_NOT_EVERYWHERE:
            return
        kind = self.kind if self.kind in OF_THE_CONTAINER else "of the host"
        if self.target == "/sys/fs/cgroup":
            yield f"{self.target}: cgroup2, or an empty tmpfs; {self.rules}"
            return
        if self.target.startswith("/sys/"):
            yield f"below /sys: of the host, whatever is mounted there; {self.rules}"
            return
        root = re.sub("[0-9a-f]{64}", "<id>", self.root.replace(str(store), "<store>"))
        root = re.sub(r"/tmp/\d+-\d+-\d+/", "/tmp/<step>/", root)
        part = "" if root == "/" else f", its {root}"
        yield f"{self.target}: {kind}{part}; {self.rules}{self._settings()}"

    @property
    def rules(self) -> str:
        return self.options.replace(",relatime", "")

    def _settings(self) -> str:
        if self.kind not in ("tmpfs", "devpts"):
            return ""
        kept = [word for word in self.settings.split(",") if word[:4] in ("size", "mode", "ptmx")]
        return "".join(f", {word}" for word in kept)

    def as_mask(self) -> str:
        kind = self.kind if self.kind in OF_THE_CONTAINER else "of the host"
        part = "" if self.root == "/" else f", its {self.root}"
        what = "a directory" if self.kind == "tmpfs" and not part else "a file"
        return f"{what}: {kind}{part}; {self.rules}"


def _descriptor(line: str, mounts: list[_Mount]) -> str:
    number, way, target, kind, device = line.split("\t")
    what = KINDS[int(kind, 8)]
    if what in ("pipe", "socket"):
        return f"{number}: {way}, {what}"
    owner = next((mount for mount in mounts if mount.device == device), None)
    if owner is None:
        whose = "of a file system that is mounted nowhere inside"
    elif owner.kind in OF_THE_CONTAINER:
        whose = "of the container"
    else:
        whose = "of the host"
    return f"{number}: {way}, {what} {target} {whose}"


def _rights(lines: list[str]) -> Iterator[str]:
    for line in lines:
        name, _, value = line.partition(":")
        value = value.strip()
        if name.startswith("Cap"):
            mask = int(value, 16)
            held = [text for bit, text in enumerate(CAPABILITIES) if mask >> bit & 1]
            yield f"{name}: {' '.join(sorted(held)) or 'none'}"
        elif name in ("NoNewPrivs", "Seccomp", "Seccomp_filters", "SigBlk", "SigIgn", "TracerPid"):
            yield f"{name}: {value}"


def _limits(lines: list[str]) -> Iterator[str]:
    for line in lines:
        name, *values = line.split()
        soft, hard = map(int, values)
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        # Python does not know the one for locks, which nobody sets.
        ours = (-1, -1) if number is None else resource.getrlimit(number)
        if name == "nofile":
            most = 524_288 if ours[1] < 0 else min(524_288, ours[1])
            end = "524288, or what the caller has" if hard == most else str(hard)
            yield f"{name}: {soft}, at most {end}"
        elif (soft, hard) != ours:
            yield f"{name}: {soft}, at most {hard}, unlike the caller's"
    yield "all others: as the caller's"


def _namespaces(lines: list[str]) -> Iterator[str]:
    for line in lines:
        name, target = line.split()
        host = str(Path(f"/proc/self/ns/{name}").readlink())
        yield f"{name}: {'the host' + chr(39) + 's' if target == host else 'its own'}"


def _entry(line: str) -> str:
    name, mode, device, target = (line + "\t").split("\t")[:4]
    kind = KINDS[stat.S_IFMT(int(mode, 8))]
    if kind == "link":
        return f"{name} -> {target}"
    number = f" {device}" if "device" in kind else ""
    return f"{name}: {kind}{number} {stat.S_IMODE(int(mode, 8)):04o}"
