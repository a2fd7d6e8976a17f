/* One attempt for each door of the kernel that a container must find shut.
 *
 * `calls NAME...` makes the attempts, each in a process of its own, and prints `NAME ERRNO`, `NAME OK`
 * or `NAME SIGnal`; without names all of them. No attempt harms a machine that lets it through: its
 * arguments are invalid behind the check for the permission, or concern this process alone. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNTESTED 1000 /* This machine's processor has no such door. */

static long host_pid(void)
{
    const char *given = getenv("HOST_PID");
    return given ? atol(given) : 1 << 21;
}

/* Keys ---------------------------------------------------------------------------------------- */
static long add_key(void) { return syscall(SYS_add_key, "user", "attack", "x", 1, -3); }
static long request_key(void) { return syscall(SYS_request_key, "user", "attack", NULL, 0); }
static long keyctl_session(void) { return syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3, 0); }
static long keyctl_join(void) { return syscall(SYS_keyctl, 1 /* JOIN_SESSION_KEYRING */, NULL); }

/* Machinery that has been a way into the kernel ----------------------------------------------- */
static long bpf_map(void)
{
    uint32_t attributes[32] = {2 /* ARRAY */, 4, 4, 1};
    return syscall(SYS_bpf, 0 /* MAP_CREATE */, attributes, sizeof attributes);
}
static long userfaultfd(void) { return syscall(SYS_userfaultfd, O_CLOEXEC); }
static long userfaultfd_user_mode(void) { return syscall(SYS_userfaultfd, O_CLOEXEC | 1); }
static long io_uring(void)
{
    char parameters[256] = {0};
    return syscall(425 /* io_uring_setup */, 1, parameters);
}
static long io_uring_enter(void) { return syscall(426, -1, 0, 0, 0, NULL, 0); }
static long io_uring_register(void) { return syscall(427, -1, 0, NULL, 0); }
static long perf_event(void)
{
    struct { uint32_t type, size; uint64_t config; char rest[112]; } event = {1, 128, 0, {0}};
    return syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
}
static long fanotify(void) { return syscall(SYS_fanotify_init, 0, O_RDONLY); }
static long lsm_set_self(void) { return syscall(460, 100, NULL, 0, 0); }
static long landlock_version(void) { return syscall(444, NULL, 0, 1); }
static long beyond_the_list(void) { return syscall(467, -1, NULL, 0, NULL, 0); }

/* Other kernels, modules, accounts of the machine ---------------------------------------------- */
static long kexec(void) { return syscall(SYS_kexec_load, 0, 17, NULL, 0xffffUL); }
static long kexec_file(void) { return syscall(SYS_kexec_file_load, -1, -1, 0, NULL, ~0UL); }
static long init_module(void) { return syscall(SYS_init_module, NULL, 0, ""); }
static long finit_module(void) { return syscall(SYS_finit_module, -1, "", 0); }
static long delete_module(void) { return syscall(SYS_delete_module, "no_such_module", O_NONBLOCK); }
static long reboot_machine(void) { return syscall(SYS_reboot, 1, 2, 3, NULL); }
static long swap_on(void) { return syscall(SYS_swapon, "/no-such-file", 0); }
static long swap_off(void) { return syscall(SYS_swapoff, "/no-such-file"); }
static long set_time_of_day(void) { return syscall(SYS_settimeofday, NULL, NULL); }
static long clock_set(void)
{
    struct timespec never = {0, -1};
    return syscall(SYS_clock_settime, CLOCK_REALTIME, &never);
}
static long adjust_clock(void)
{
    struct timex wanted = {.modes = ADJ_TICK, .tick = 1};
    return syscall(SYS_adjtimex, &wanted);
}
static long adjust_clock_by_id(void)
{
    struct timex wanted = {.modes = ADJ_TICK, .tick = 1};
    return syscall(SYS_clock_adjtime, CLOCK_REALTIME, &wanted);
}
static long host_name(void) { return syscall(SYS_sethostname, "taken", 5); }
static long domain_name(void) { return syscall(SYS_setdomainname, "taken", 5); }
static long kernel_log(void) { return syscall(SYS_syslog, 10 /* SIZE_BUFFER */, NULL, 0); }
static long kernel_log_read(void)
{
    char line[64];
    return syscall(SYS_syslog, 3 /* READ_ALL */, line, sizeof line);
}
static long accounting(void) { return syscall(SYS_acct, "/no-such-file"); }
static long quota(void) { return syscall(SYS_quotactl, QCMD(Q_GETFMT, 0), "/no-such-device", 0, NULL); }
static long nfs_server(void) { return syscall(SYS_nfsservctl, 0, NULL, NULL); }
static long old_library(void) { return syscall(SYS_uselib, "/no-such-file"); }
static long dcookie(void) { char path[64]; return syscall(SYS_lookup_dcookie, 0UL, path, sizeof path); }
static long hang_up(void) { return syscall(SYS_vhangup); }
static long port_privilege(void) { return syscall(SYS_iopl, 3); }
static long port_permission(void) { return syscall(SYS_ioperm, 0x80, 1, 1); }
static long system_dump(void) { return syscall(SYS__sysctl, NULL); }

/* Handles that lead around paths ---------------------------------------------------------------- */
struct handle { struct file_handle head; char bytes[128]; };
static long own_memory(void) { return open("/proc/self/mem", O_RDWR); }
static long name_handle(void)
{
    struct handle made = {.head.handle_bytes = 128};
    int mount;
    long result = syscall(SYS_name_to_handle_at, AT_FDCWD, "/dev/shm", &made, &mount, 0);
    return result < 0 && (errno == EOPNOTSUPP || errno == EOVERFLOW) ? 0 : result;
}
static long open_handle(void)
{
    /* The root of an ext4 is inode 2: what the first escape of this kind asked for. */
    struct handle root = {.head.handle_bytes = 8, .head.handle_type = 1, .bytes = {2}};
    return syscall(SYS_open_by_handle_at, open("/etc/hosts", O_RDONLY), &root, O_RDONLY);
}

/* Sockets --------------------------------------------------------------------------------------- */
static long family(long number, int kind, int protocol) { return syscall(SYS_socket, number, kind, protocol); }
static long vsock(void) { return family(40, SOCK_STREAM, 0); }
static long vsock_disguised(void) { return family(1L << 32 | 40, SOCK_STREAM, 0); }
static long kernel_crypto(void) { return family(38, SOCK_SEQPACKET, 0); }
static long decnet(void) { return family(12, SOCK_STREAM, 0); }
static long infrared(void) { return family(23, SOCK_STREAM, 0); }
static long isdn(void) { return family(34, SOCK_RAW, 0); }
static long caif(void) { return family(37, SOCK_STREAM, 0); }
static long unknown_family(void) { return family(46, SOCK_STREAM, 0); }
static long packets(void) { return family(AF_PACKET, SOCK_RAW, 0); }
static long link_flags(void)
{
    /* Those that it has: even that is CAP_NET_ADMIN, which a container does not have. */
    struct { char name[16]; short flags; char rest[22]; } request = {"lo", 0, {0}};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    ioctl(fd, 0x8913 /* SIOCGIFFLAGS */, &request);
    return ioctl(fd, 0x8914 /* SIOCSIFFLAGS */, &request);
}
static long host_abstract_socket(void)
{
    const char *name = getenv("HOST_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", name ? name : "nobody-listens-here");
    socklen_t size = sizeof(sa_family_t) + 1 + strlen(address.sun_path + 1);
    return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, size);
}
static long host_loopback(void)
{
    const char *port = getenv("HOST_PORT");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port ? atoi(port) : 9)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address);
}

/* Mounts and namespaces -------------------------------------------------------------------------- */
static long mount_tmpfs(void) { return syscall(SYS_mount, "x", "/tmp", "tmpfs", 0, NULL); }
static long mount_proc(void) { return syscall(SYS_mount, "x", "/tmp", "proc", 0, NULL); }
static long mount_bind(void) { return syscall(SYS_mount, "/proc", "/tmp", NULL, MS_BIND | MS_REC, NULL); }
static long mount_cgroups(void) { return syscall(SYS_mount, "x", "/tmp", "cgroup", 0, "memory"); }
static long mount_debug(void) { return syscall(SYS_mount, "x", "/tmp", "debugfs", 0, NULL); }
static long mount_formats(void) { return syscall(SYS_mount, "x", "/tmp", "binfmt_misc", 0, NULL); }
static long remount_writable(void) { return syscall(SYS_mount, NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL); }
static long remount_system_writable(void) { return syscall(SYS_mount, NULL, "/sys", NULL, MS_REMOUNT | MS_BIND, NULL); }
static long make_shared(void) { return syscall(SYS_mount, NULL, "/", NULL, MS_SHARED | MS_REC, NULL); }
static long unmount(void) { return syscall(SYS_umount2, "/proc/sys", MNT_DETACH); }
static long unmount_mask(void) { return syscall(SYS_umount2, "/proc/kcore", MNT_DETACH); }
static long pivot(void) { return syscall(SYS_pivot_root, ".", "."); }
static long new_file_system(void) { return syscall(430 /* fsopen */, "tmpfs", 0); }
static long pick_file_system(void) { return syscall(433 /* fspick */, AT_FDCWD, "/", 0); }
static long configure_file_system(void) { return syscall(431 /* fsconfig */, -1, 0, NULL, NULL, 0); }
static long mount_file_system(void) { return syscall(432 /* fsmount */, -1, 0, 0); }
static long move_a_mount(void) { return syscall(429 /* move_mount */, AT_FDCWD, "/proc", AT_FDCWD, "/tmp", 0); }
static long clone_mounts(void) { return syscall(428 /* open_tree */, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */); }
static long set_mount_attributes(void)
{
    uint64_t attributes[4] = {0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};
    return syscall(442 /* mount_setattr */, AT_FDCWD, "/proc/sys", 0, attributes, sizeof attributes);
}
static long leave(int flags) { return syscall(SYS_unshare, flags); }
static long unshare_user(void) { return leave(CLONE_NEWUSER); }
static long unshare_mounts(void) { return leave(CLONE_NEWNS); }
static long unshare_user_and_mounts(void) { return leave(CLONE_NEWUSER | CLONE_NEWNS); }
static long unshare_network(void) { return leave(CLONE_NEWNET); }
static long unshare_pids(void) { return leave(CLONE_NEWPID); }
static long unshare_ipc(void) { return leave(CLONE_NEWIPC); }
static long unshare_uts(void) { return leave(CLONE_NEWUTS); }
static long unshare_cgroup(void) { return leave(CLONE_NEWCGROUP); }
static long unshare_time(void) { return leave(0x80); }
static long born(long flags)
{
    long child = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid(child, NULL, __WALL);
    return child;
}
static long clone_user(void) { return born(CLONE_NEWUSER); }
static long clone_mounts_namespace(void) { return born(CLONE_NEWNS); }
static long clone_network(void) { return born(CLONE_NEWNET); }
static long clone_disguised(void) { return born(1L << 32 | CLONE_NEWUSER); }
static long clone3_user(void)
{
    uint64_t arguments[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
    long child = syscall(435, arguments, 64);
    if (child == 0)
        _exit(0);
    return child;
}
static long join_own(void) { return syscall(SYS_setns, open("/proc/self/ns/mnt", O_RDONLY), 0); }
static long join_first(void) { return syscall(SYS_setns, open("/proc/1/ns/net", O_RDONLY), 0); }
static long join_by_process(void) { return syscall(SYS_setns, syscall(SYS_pidfd_open, 1, 0), CLONE_NEWUTS); }

/* Other processes --------------------------------------------------------------------------------- */
static long trace_host(void) { return ptrace(PTRACE_SEIZE, host_pid(), NULL, NULL); }
static long read_host_memory(void)
{
    char byte;
    struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};
    return syscall(SYS_process_vm_readv, host_pid(), &local, 1, &remote, 1, 0);
}
static long signal_host(void) { return kill(host_pid(), 0); }
static long open_host_process(void) { return syscall(SYS_pidfd_open, host_pid(), 0); }
static long set_host_priority(void) { return setpriority(PRIO_PROCESS, host_pid(), 19); }
static long limit_host(void) { struct rlimit old; return prlimit(host_pid(), RLIMIT_CORE, NULL, &old); }
static long schedule_host(void) { cpu_set_t set; return sched_getaffinity(host_pid(), sizeof set, &set); }
static long open_memory_of_the_first(void)
{
    /* What may be traced may be read; the first process has no more rights than this one. */
    int memory = open("/proc/1/mem", O_RDONLY);
    return memory < 0 ? -1 : 0;
}
static long trace_own_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    long result = ptrace(PTRACE_SEIZE, child, NULL, NULL);
    int problem = errno;
    kill(child, SIGKILL);
    errno = problem;
    return result;
}
static long compare_processes(void) { return syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0); }
static long take_descriptor(void) { return syscall(438 /* pidfd_getfd */, syscall(SYS_pidfd_open, getpid(), 0), 0, 0); }
static long advise_process(void)
{
    struct iovec where = {NULL, 0};
    return syscall(440 /* process_madvise */, syscall(SYS_pidfd_open, getpid(), 0), &where, 1, 20, 0);
}
static long replace_program_file(void)
{
    return prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, open("/bin/busybox", O_RDONLY), 0, 0);
}
static long no_randomization(void) { return syscall(SYS_personality, ADDR_NO_RANDOMIZE); }
static long read_implies_exec(void) { return syscall(SYS_personality, READ_IMPLIES_EXEC); }
static long raise_priority(void) { return setpriority(PRIO_PROCESS, 0, -20); }
static long real_time(void)
{
    struct sched_param wanted = {.sched_priority = 1};
    return sched_setscheduler(0, SCHED_FIFO, &wanted);
}
static long raise_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max = limit.rlim_max + 1;
    return setrlimit(RLIMIT_NOFILE, &limit);
}
static long numa_policy(void) { return syscall(SYS_set_mempolicy, 0, NULL, 0); }
static long gain_capability(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    syscall(SYS_capget, &head, data);
    data[0].permitted |= 1 << CAP_SYS_ADMIN;
    data[0].effective |= 1 << CAP_SYS_ADMIN;
    return syscall(SYS_capset, &head, data);
}
static long ambient_capability(void) { return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0); }

/* Device nodes --------------------------------------------------------------------------------------- */
static long node(const char *path, mode_t kind, int major, int minor)
{
    unlink(path);
    if (mknod(path, kind | 0666, (dev_t)major << 8 | minor) < 0)
        return -1;
    long opened = open(path, O_RDONLY | O_NONBLOCK);
    int problem = errno;
    unlink(path);
    errno = problem;
    return opened;
}
static long memory_node(void) { return node("/tmp/mem", S_IFCHR, 1, 1); }
static long log_node(void) { return node("/tmp/kmsg", S_IFCHR, 1, 11); }
static long disk_node(void)
{
    const char *number = getenv("HOST_DISK");
    int major = 254, minor = 0;
    if (number)
        sscanf(number, "%d:%d", &major, &minor);
    return node("/tmp/disk", S_IFBLK, major, minor);
}
static long fuse_node(void) { return node("/tmp/fuse", S_IFCHR, 10, 229); }
static long tunnel_node(void) { return node("/tmp/tun", S_IFCHR, 10, 200); }
static long disk_node_in_memory(void)
{
    const char *number = getenv("HOST_DISK");
    int major = 254, minor = 0;
    if (number)
        sscanf(number, "%d:%d", &major, &minor);
    return node("/dev/shm/disk", S_IFBLK, major, minor);
}
static long disk_node_in_devices(void)
{
    const char *number = getenv("HOST_DISK");
    int major = 254, minor = 0;
    if (number)
        sscanf(number, "%d:%d", &major, &minor);
    return node("/dev/disk", S_IFBLK, major, minor);
}

/* Other tables of system calls that this processor has ----------------------------------------------- */
#ifdef __x86_64__
static long x32_mount(void) { return syscall(0x40000000 | 165, "x", "/tmp", "tmpfs", 0, NULL); }
static long x32_keyctl(void) { return syscall(0x40000000 | 250, 0, -3, 0); }
static long old_gate(long number, long first, long second, long third, long fourth, long fifth)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result)
                     : "a"(number), "b"(first), "c"(second), "d"(third), "S"(fourth), "D"(fifth)
                     : "memory", "r8", "r9", "r10", "r11");
    result = (int)result;
    if (result < 0 && result > -4096) {
        errno = -result;
        return -1;
    }
    return result;
}
static char *low_page(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
}
static long i386_mount(void)
{
    char *text = low_page();
    strcpy(text, "tmpfs"), strcpy(text + 16, "/tmp");
    return old_gate(21, (long)text, (long)(text + 16), (long)text, 0, 0);
}
static long i386_unshare(void) { return old_gate(310, CLONE_NEWUSER, 0, 0, 0, 0); }
static long i386_keyctl(void) { return old_gate(288, 0, -3, 0, 0, 0); }
static long i386_vm86(void) { return old_gate(166, 0, 0, 0, 0, 0); }
static long i386_vm86_old(void) { return old_gate(113, 0, 0, 0, 0, 0); }
static long i386_socket(void) { return old_gate(359, 40, SOCK_STREAM, 0, 0, 0); }
static long i386_io_uring(void) { return old_gate(425, 1, (long)low_page(), 0, 0, 0); }
#else
#define ELSEWHERE(name) static long name(void) { errno = UNTESTED; return -1; }
ELSEWHERE(x32_mount) ELSEWHERE(x32_keyctl) ELSEWHERE(i386_mount) ELSEWHERE(i386_unshare) ELSEWHERE(i386_keyctl)
ELSEWHERE(i386_vm86) ELSEWHERE(i386_vm86_old) ELSEWHERE(i386_socket) ELSEWHERE(i386_io_uring)
#endif

static const struct { const char *name; long (*make)(void); } ATTEMPTS[] = {
#define A(name) {#name, name}
    A(add_key), A(request_key), A(keyctl_session), A(keyctl_join), A(bpf_map), A(userfaultfd),
    A(userfaultfd_user_mode), A(io_uring), A(io_uring_enter), A(io_uring_register), A(perf_event), A(fanotify),
    A(lsm_set_self), A(landlock_version), A(beyond_the_list), A(kexec), A(kexec_file), A(init_module),
    A(finit_module), A(delete_module), A(reboot_machine), A(swap_on), A(swap_off), A(set_time_of_day),
    A(clock_set), A(adjust_clock), A(adjust_clock_by_id), A(host_name), A(domain_name), A(kernel_log),
    A(kernel_log_read), A(accounting), A(quota), A(nfs_server), A(old_library), A(dcookie), A(hang_up),
    A(port_privilege), A(port_permission), A(system_dump), A(own_memory), A(name_handle), A(open_handle), A(vsock),
    A(vsock_disguised), A(kernel_crypto), A(decnet), A(infrared), A(isdn), A(caif), A(unknown_family), A(packets),
    A(link_flags), A(host_abstract_socket), A(host_loopback), A(mount_tmpfs), A(mount_proc), A(mount_bind), A(mount_cgroups),
    A(mount_debug), A(mount_formats),
    A(remount_writable), A(remount_system_writable), A(make_shared), A(unmount), A(unmount_mask), A(pivot),
    A(new_file_system), A(pick_file_system), A(configure_file_system), A(mount_file_system), A(move_a_mount),
    A(clone_mounts), A(set_mount_attributes), A(unshare_user), A(unshare_mounts), A(unshare_user_and_mounts),
    A(unshare_network), A(unshare_pids), A(unshare_ipc), A(unshare_uts), A(unshare_cgroup), A(unshare_time),
    A(clone_user), A(clone_mounts_namespace), A(clone_network), A(clone_disguised), A(clone3_user), A(join_own),
    A(join_first), A(join_by_process), A(trace_host), A(read_host_memory), A(signal_host), A(open_host_process),
    A(set_host_priority), A(limit_host), A(schedule_host), A(trace_own_child),
    A(open_memory_of_the_first), A(compare_processes), A(take_descriptor),
    A(advise_process), A(replace_program_file), A(no_randomization), A(read_implies_exec), A(raise_priority),
    A(real_time), A(raise_limit), A(numa_policy), A(gain_capability), A(ambient_capability), A(memory_node),
    A(log_node), A(disk_node), A(fuse_node), A(tunnel_node), A(disk_node_in_memory), A(disk_node_in_devices),
    A(x32_mount), A(x32_keyctl), A(i386_mount), A(i386_unshare), A(i386_keyctl), A(i386_vm86), A(i386_vm86_old),
    A(i386_socket), A(i386_io_uring),
};

static void attempt(const char *name, long (*make)(void))
{
    int result[2], status, problem = 0;
    fflush(stdout);
    if (pipe2(result, O_CLOEXEC) < 0)
        exit(1);
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        errno = 0;
        problem = make() < 0 ? errno : 0;
        _exit(write(result[1], &problem, sizeof problem) != sizeof problem);
    }
    close(result[1]);
    waitpid(child, &status, 0);
    if (read(result[0], &problem, sizeof problem) != sizeof problem)
        printf("%s SIG%s\n", name, WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : "?");
    else
        printf("%s %s\n", name, problem == UNTESTED ? "UNTESTED" : problem ? strerrorname_np(problem) : "OK");
    close(result[0]);
}

int main(int argc, char **argv)
{
    for (size_t at = 0; at < sizeof ATTEMPTS / sizeof *ATTEMPTS; at++) {
        int wanted = argc < 2;
        for (int word = 1; word < argc; word++)
            wanted |= !strcmp(argv[word], ATTEMPTS[at].name);
        if (wanted)
            attempt(ATTEMPTS[at].name, ATTEMPTS[at].make);
    }
    return 0;
}
