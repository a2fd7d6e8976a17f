"""The doors of the kernel, each tried from inside a container with the usual settings.

The tables say what comes of it: what Docker's defaults make of it, unless a line says why not.
A result is an error by its name, or OK. Several are alternatives: kernels differ, and not every
machine has every file. Any other result is an open door.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

import pytest

from walls.attack import WAYS, Arena, Way, host_disk, results

FORBIDDEN = """
add_key request_key keyctl_session keyctl_join
bpf_map userfaultfd userfaultfd_user_mode io_uring io_uring_enter io_uring_register perf_event
fanotify lsm_set_self
kexec kexec_file init_module finit_module delete_module reboot_machine swap_on swap_off
set_time_of_day clock_set adjust_clock adjust_clock_by_id host_name domain_name kernel_log
kernel_log_read accounting quota nfs_server old_library dcookie hang_up port_privilege
port_permission system_dump open_handle
vsock vsock_disguised kernel_crypto decnet infrared isdn caif unknown_family link_flags
mount_tmpfs mount_proc mount_bind mount_cgroups mount_debug mount_formats remount_writable
remount_system_writable make_shared unmount unmount_mask pivot new_file_system pick_file_system
configure_file_system mount_file_system move_a_mount clone_mounts set_mount_attributes
unshare_user unshare_mounts unshare_user_and_mounts unshare_network unshare_pids unshare_ipc
unshare_uts unshare_cgroup unshare_time clone_user clone_mounts_namespace clone_network
clone_disguised join_own join_first join_by_process
compare_processes take_descriptor advise_process replace_program_file no_randomization
read_implies_exec real_time raise_limit numa_policy gain_capability ambient_capability
"""
"""Refused with EPERM, by the filter for system calls or for want of a capability."""

# 32-bit and x32 calls do what the others do, and a filter that forgot them would be none.
OTHER_TABLES = """
x32_mount x32_keyctl i386_mount i386_unshare i386_keyctl i386_vm86 i386_vm86_old i386_socket
i386_io_uring
"""

CALLS: dict[str, set[str]] = {
    **{name: {"EPERM"} for name in FORBIDDEN.split()},
    # SEGV is what the processor makes of a gate that the kernel does not have.
    **{name: {"EPERM", "ENOSYS", "SIGSEGV", "UNTESTED"} for name in OTHER_TABLES.split()},
    # Answers as an older kernel would, so that C libraries fall back.
    "clone3_user": {"ENOSYS"},
    "beyond_the_list": {"ENOSYS"},
    # The host's processes have no number in here.
    "trace_host": {"ESRCH"},
    "read_host_memory": {"ESRCH"},
    "signal_host": {"ESRCH"},
    "open_host_process": {"ESRCH"},
    "set_host_priority": {"ESRCH"},
    "limit_host": {"ESRCH"},
    "schedule_host": {"ESRCH"},
    "raise_priority": {"EACCES"},
    # The network is its own: abstract sockets and the loopback are those of nobody.
    "host_abstract_socket": {"ECONNREFUSED"},
    "host_loopback": {"ECONNREFUSED"},
}

NODES = (
    "memory_node log_node disk_node fuse_node tunnel_node disk_node_in_memory disk_node_in_devices"
)

# Docker lets root make device files (CAP_MKNOD) and forbids opening them by the device
# controller. Here they do not work on any mount either: that is EACCES.
CALLS |= {name: {"EPERM", "EACCES"} for name in NODES.split()}

OPEN = {
    # As with Docker: a program's own affair, and programs need it.
    "landlock_version": {"OK", "ENOSYS", "EOPNOTSUPP"},
    "name_handle": {"OK"},
    "own_memory": {"OK"},
    "trace_own_child": {"OK"},
    "open_memory_of_the_first": {"OK"},
    # CAP_NET_RAW, in a network of its own. BuildKit's steps have it too.
    "packets": {"OK"},
}
CALLS |= OPEN

IN_THE_HOSTS_NETWORK = {
    # Documented: whoever says `--network host` gives away what listens there.
    "host_abstract_socket": ({"OK"}, {"OK"}),
    "host_loopback": ({"OK"}, {"OK"}),
    # An ordinary user's capabilities do not count in a network that the user's namespace
    # does not own. Root's do, as with Docker.
    "packets": ({"OK"}, {"EPERM"}),
    "vsock": ({"EPERM"}, {"EPERM"}),
    "kernel_crypto": ({"EPERM"}, {"EPERM"}),
}

NEVER_WRITTEN = {"EROFS", "EACCES", "EPERM", "ENOENT"}
NOTHING_SEEN = {"EMPTY", "ENOENT", "EACCES", "EPERM"}

SETTINGS = """
kernel/core_pattern kernel/core_pipe_limit kernel/modprobe kernel/hotplug kernel/poweroff_cmd
kernel/usermodehelper/bset kernel/usermodehelper/inheritable kernel/randomize_va_space
kernel/sysrq kernel/panic kernel/ns_last_pid kernel/kptr_restrict kernel/dmesg_restrict
kernel/unprivileged_bpf_disabled kernel/yama/ptrace_scope kernel/hostname kernel/domainname
kernel/shmmax kernel/msgmax kernel/keys/root_maxkeys kernel/printk kernel/pid_max
fs/binfmt_misc/register fs/binfmt_misc/status fs/file-max fs/suid_dumpable fs/protected_symlinks
fs/mount-max fs/mqueue/queues_max vm/drop_caches vm/overcommit_memory vm/mmap_min_addr
vm/panic_on_oom net/ipv4/ip_forward net/core/bpf_jit_enable net/ipv4/ping_group_range
net/ipv4/ip_unprivileged_port_start user/max_user_namespaces dev/tty/legacy_tiocsti
abi/vsyscall32
"""

SYSTEM = """
/proc/sysrq-trigger /proc/irq/default_smp_affinity /proc/bus/pci/devices /proc/mtrr
/proc/acpi/wakeup /proc/fs/nfsd/threads
/sys/kernel/uevent_helper /sys/kernel/uevent_seqnum /sys/kernel/mm/transparent_hugepage/enabled
/sys/kernel/mm/ksm/run /sys/kernel/kexec_crash_size /sys/kernel/profiling /sys/kernel/notes
/sys/power/state /sys/power/mem_sleep /sys/module/kernel/parameters/panic
/sys/class/net/lo/mtu /sys/devices/system/cpu/cpu1/online /sys/devices/system/cpu/online
/sys/block/vda/queue/scheduler /sys/block/sda/device/delete /sys/bus/pci/rescan
/sys/fs/cgroup/release_agent /sys/fs/cgroup/notify_on_release /sys/fs/cgroup/cgroup.procs
/sys/fs/cgroup/tasks /sys/fs/cgroup/cgroup.subtree_control /sys/fs/cgroup/devices.allow
/sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/release_agent
/sys/fs/cgroup/devices/devices.allow /sys/fs/selinux/enforce /sys/firmware/efi/efivars
/sys/kernel/debug/sched/features /sys/kernel/tracing/tracing_on /sys/kernel/security/lsm
"""

# `write` opens a device file even where a mount is read-only; what is written goes nowhere.
READ = """
/proc/kcore /proc/keys /proc/timer_list /proc/timer_stats /proc/latency_stats
/proc/sched_debug /proc/interrupts /proc/kmsg /proc/1/auxv_of_nobody
/dev/mem /dev/kmem /dev/port /dev/kmsg /dev/kvm /dev/fuse /dev/net/tun /dev/vda /dev/sda
/dev/nvme0n1 /dev/loop0 /dev/loop-control /dev/mapper/control /dev/vsock /dev/vhost-vsock
/dev/vhost-net /dev/uinput /dev/input/event0 /dev/tty0 /dev/tty1 /dev/ttyS0 /dev/console
/dev/hwrng /dev/rtc0 /dev/btrfs-control /dev/userfaultfd /dev/udmabuf /dev/snapshot
"""

LISTED = """
/proc/acpi /proc/asound /proc/scsi /sys/firmware /sys/devices/virtual/powercap
/sys/devices/system/cpu/cpu0/thermal_throttle /sys/devices/system/cpu/cpu1/thermal_throttle
/sys/kernel/debug /sys/kernel/tracing /sys/kernel/security /sys/fs/bpf /sys/fs/pstore
"""

PUT = {
    # Out of the way of the out-of-memory killer: what dies instead is the neighbour.
    "/proc/self/oom_score_adj=-1000": {"EACCES"},
    "/proc/self/oom_score_adj=-1": {"EACCES"},
    "/proc/self/uid_map=0 0 4294967295": {"EPERM"},
    "/proc/thread-self/attr/current=unconfined": {"EINVAL", "EACCES", "EPERM", "ENOENT"},
}

PATHS: dict[str, set[str]] = {
    **{f"write /proc/sys/{name}": NEVER_WRITTEN for name in SETTINGS.split()},
    **{f"write {path}": NEVER_WRITTEN for path in SYSTEM.split()},
    **{f"read {path}": NOTHING_SEEN for path in READ.split()},
    **{f"list {path}": NOTHING_SEEN for path in LISTED.split()},
    **{f"put {path}": result for path, result in PUT.items()},
}

Found = dict[str, str]
Ask = Callable[[Arena, Way], Found]


@pytest.fixture(scope="module")
def host() -> Iterator[dict[str, str]]:
    """What there is on the host to be reached, as variables for the attack programs."""
    name = f"dissolver-attack-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket() as loopback:
        abstract.bind(f"\0{name}")
        abstract.listen(64)
        loopback.bind(("127.0.0.1", 0))
        loopback.listen(64)
        yield {
            "HOST_PID": str(os.getpid()),
            "HOST_SOCKET": name,
            "HOST_PORT": str(loopback.getsockname()[1]),
            "HOST_DISK": host_disk(),
        }


@pytest.fixture(scope="module")
def made(host: dict[str, str]) -> Callable[[Arena, Way, str], Found]:
    """Make all attempts at once, when they are first asked about, in each arena and way."""
    known: dict[tuple[int, Way, str], Found] = {}

    def ask(arena: Arena, way: Way, program: str) -> Found:
        key = (id(arena), way, program)
        if key not in known:
            stdin = "\n".join(PATHS) if program == "paths" else None
            said = arena.attack(way, [f"/attacks/{program}"], variables=host, stdin=stdin)
            known[key] = results(said)
        return known[key]

    return ask


Made = Callable[[Arena, Way, str], Found]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_gets_what_the_table_says(arena: Arena, way: Way, made: Made, name: str) -> None:
    assert made(arena, way, "calls")[name] in CALLS[name]


@pytest.mark.parametrize("way", WAYS)
def test_every_call_that_is_tried_has_a_line(arena: Arena, way: Way, made: Made) -> None:
    assert set(made(arena, way, "calls")) == set(CALLS)


@pytest.mark.parametrize("path", PATHS)
def test_a_file_gives_what_the_table_says(arena: Arena, way: Way, made: Made, path: str) -> None:
    assert made(arena, way, "paths")[path] in PATHS[path]


@pytest.mark.parametrize("name", IN_THE_HOSTS_NETWORK)
def test_the_hosts_network_opens_what_is_documented(
    arena: Arena, host: dict[str, str], name: str
) -> None:
    options = ("--network", "host")
    said = arena.attack("run", ["/attacks/calls", name], variables=host, options=options)
    as_root, as_user = IN_THE_HOSTS_NETWORK[name]
    assert results(said)[name] in (as_root if arena.account.is_root else as_user)


@pytest.mark.parametrize("name", ["gain_capability", "mount_tmpfs", "unshare_user", "disk_node"])
@pytest.mark.parametrize("user", ["0", "1000:1000"])
def test_no_new_privileges_open_no_door(arena: Arena, name: str, user: str) -> None:
    options = ("--security-opt", "no-new-privileges", "--user", user)
    said = arena.attack("run", ["/attacks/calls", name], options=options)
    assert results(said)[name] in CALLS[name] | {"EPERM", "EACCES"}


@pytest.mark.parametrize("name", [*FORBIDDEN.split()[:7], "mount_tmpfs", "unshare_user"])
def test_a_program_of_an_ordinary_user_inside_gets_no_more(
    arena: Arena, way: Way, name: str
) -> None:
    said = arena.attack(way, ["/attacks/calls", name], user="1000:1000")
    assert results(said)[name] == "EPERM"
