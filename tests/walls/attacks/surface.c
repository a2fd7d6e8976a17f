/* What a program can touch the moment it starts, told section by section.
 *
 * Descriptors are looked at before anything is opened, so that the list is what was handed over. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_DESCRIPTORS 4096

static const char *const LIMITS[] = {
    "cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile",
    "memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"};
static const char *const NAMESPACES[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};

static void show_file(const char *section, const char *path)
{
    char buffer[65536];
    printf("## %s\n", section);
    fflush(stdout);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        printf("%s\n", strerrorname_np(errno));
        return;
    }
    ssize_t size;
    while ((size = read(fd, buffer, sizeof buffer)) > 0)
        fwrite(buffer, 1, size, stdout);
    if (size < 0)
        printf("%s\n", strerrorname_np(errno));
    close(fd);
}

static void show_descriptors(void)
{
    printf("## descriptors\n");
    for (int fd = 0; fd < MOST_DESCRIPTORS; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0)
            continue;
        char path[64], target[4096];
        struct stat status;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(path, target, sizeof target - 1);
        target[size < 0 ? 0 : size] = 0;
        fstat(fd, &status);
        static const char *const WAYS[] = {"read", "write", "read and write", "?"};
        printf("%d\t%s\t%s\t%o\t%u:%u\n", fd, WAYS[flags & O_ACCMODE], target, status.st_mode & S_IFMT,
               (unsigned)(status.st_dev >> 8), (unsigned)(status.st_dev & 255));
    }
}

static void show_identity(void)
{
    gid_t groups[256];
    uid_t uids[3];
    gid_t gids[3];
    getresuid(&uids[0], &uids[1], &uids[2]);
    getresgid(&gids[0], &gids[1], &gids[2]);
    int count = getgroups(256, groups);
    printf("## identity\nuid %u %u %u\ngid %u %u %u\ngroups", uids[0], uids[1], uids[2], gids[0], gids[1], gids[2]);
    for (int at = 0; at < count; at++)
        printf(" %u", groups[at]);
    mode_t mask = umask(0);
    umask(mask);
    /* A session whose leader is in another PID namespace is 0. */
    printf("\numask %03o\nleads its session: %s\nleads its process group: %s\n", mask,
           getsid(0) == getpid() ? "yes" : "no", getpgrp() == getpid() ? "yes" : "no");
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    printf("/dev/tty: %s\n", tty < 0 ? strerrorname_np(errno) : "a terminal");
    if (tty >= 0)
        close(tty);
    printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
    printf("ends with its parent: signal %d\n", ({ int given = 0; prctl(PR_GET_PDEATHSIG, &given); given; }));
    printf("securebits %d\n", prctl(PR_GET_SECUREBITS));
}

static void show_limits(void)
{
    printf("## limits\n");
    for (int number = 0; number < 16; number++) {
        struct rlimit limit;
        getrlimit(number, &limit);
        printf("%s %lld %lld\n", LIMITS[number], (long long)limit.rlim_cur, (long long)limit.rlim_max);
    }
}

static void show_namespaces(void)
{
    printf("## namespaces\n");
    for (size_t at = 0; at < sizeof NAMESPACES / sizeof *NAMESPACES; at++) {
        char path[64], target[256];
        snprintf(path, sizeof path, "/proc/self/ns/%s", NAMESPACES[at]);
        ssize_t size = readlink(path, target, sizeof target - 1);
        target[size < 0 ? 0 : size] = 0;
        printf("%s %s\n", NAMESPACES[at], size < 0 ? strerrorname_np(errno) : target);
    }
}

static void show_directory(const char *section, const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    printf("## %s\n", section);
    for (int at = 0; at < count; at++) {
        char full[4096], target[4096] = "";
        struct stat status;
        const char *name = entries[at]->d_name;
        if (!strcmp(name, ".") || !strcmp(name, ".."))
            continue;
        snprintf(full, sizeof full, "%s/%s", path, name);
        if (lstat(full, &status) < 0)
            continue;
        if (S_ISLNK(status.st_mode)) {
            ssize_t size = readlink(full, target, sizeof target - 1);
            target[size < 0 ? 0 : size] = 0;
        }
        printf("%s\t%o\t%u:%u\t%s\n", name, status.st_mode, (unsigned)(status.st_rdev >> 8),
               (unsigned)(status.st_rdev & 255), target);
    }
}

int main(int argc, char **argv, char **environment)
{
    (void)argc, (void)argv;
    show_descriptors();
    show_identity();
    show_limits();
    show_namespaces();
    show_file("mounts", "/proc/self/mountinfo");
    show_file("status", "/proc/self/status");
    show_file("cgroup", "/proc/self/cgroup");
    show_file("oom", "/proc/self/oom_score_adj");
    show_file("keys", "/proc/keys");
    show_directory("devices", "/dev");
    char target[4096];
    ssize_t size = readlink("/proc/self/exe", target, sizeof target - 1);
    target[size < 0 ? 0 : size] = 0;
    printf("## program\n%s\n## environment\n", target);
    for (char **variable = environment; *variable; variable++)
        printf("%s\n", *variable);
    printf("## end\n");
    return 0;
}
