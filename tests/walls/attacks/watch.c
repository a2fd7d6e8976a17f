/* Waits for processes that join from outside, and reaches for what they still hold: `watch SECONDS PROGRAM`.
 *
 * Between joining and executing the PROGRAM a process is the host's. Prints `REACHED WHAT` for all that could be
 * opened of one that has not become the program or this one, and `SEEN NUMBER` of processes at the end. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char own[4096];
static unsigned char seen[1 << 16];

static void reach(int pid, const char *program)
{
    char path[64], target[4096];
    static const char *const THINGS[] = {"exe", "root", "cwd", "fd/3", "fd/4", "fd/5", "fd/6", "fd/7", "fd/8"};
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    ssize_t size = readlink(path, target, sizeof target - 1);
    if (size < 0)
        return; /* Hidden, or gone. */
    target[size] = 0;
    if (!strcmp(target, own) || !strcmp(target, program) || !strncmp(target, "/bin/", 5) ||
        !strncmp(target, "/attacks/", 9))
        return;
    /* The first program is nobody's, and so are its root and directory; what it holds must not be. */
    int is_first = !strncmp(target, "/memfd:dissolver-first", 22);
    if (!is_first)
        printf("REACHED exe %s\n", target);
    for (size_t at = is_first ? 3 : 0; at < sizeof THINGS / sizeof *THINGS; at++) {
        snprintf(path, sizeof path, "/proc/%d/%s", pid, THINGS[at]);
        int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0) {
            printf("REACHED %s\n", THINGS[at]);
            close(fd);
        }
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct timespec now, end;
    int count = 0;
    if (argc < 3)
        return 1;
    own[readlink("/proc/self/exe", own, sizeof own - 1)] = 0;
    printf("WATCHING\n");
    fflush(stdout);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += atoi(argv[1]);
    do {
        DIR *processes = opendir("/proc");
        for (struct dirent *entry; (entry = readdir(processes));) {
            int pid = atoi(entry->d_name);
            if (pid > 0 && pid < (int)sizeof seen) {
                count += !seen[pid];
                seen[pid] = 1;
                reach(pid, argv[2]);
            }
        }
        closedir(processes);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec);
    printf("SEEN %d\n", count);
    return 0;
}
