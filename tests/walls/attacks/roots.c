/* Ways out of a root directory with the right to chroot, and where each ends.
 *
 * Each way prints `NAME INSIDE` if the directory that it reached is the root it started from, and `NAME OUTSIDE`
 * with what lies there if not. A marker file of the host, named by HOST_FILE, is looked for by every way. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct stat first;

static void climb(void)
{
    for (int times = 0; times < 200; times++)
        if (chdir("..") < 0)
            break;
}

static void judge(const char *name)
{
    struct stat here;
    char text[4096];
    const char *marker = getenv("HOST_FILE");
    int seen = 0;
    if (marker) {
        snprintf(text, sizeof text, ".%s", marker);
        seen = access(text, F_OK) == 0 || access(marker, F_OK) == 0;
    }
    stat(".", &here);
    int is_inside = here.st_dev == first.st_dev && here.st_ino == first.st_ino && !seen;
    printf("%s %s\n", name, is_inside ? "INSIDE" : "OUTSIDE");
    fflush(stdout);
}

/* The classic: a directory kept open above the new root. */
static void open_directory(void)
{
    chdir("/");
    int top = open("/", O_RDONLY | O_DIRECTORY);
    mkdir("/tmp/cage", 0755);
    if (chroot("/tmp/cage") < 0 || fchdir(top) < 0) {
        printf("open_directory %s\n", strerrorname_np(errno));
        exit(0);
    }
    climb();
    judge("open_directory");
    if (chroot(".") == 0)
        judge("open_directory_as_root");
}

/* The working directory stays where it was. */
static void working_directory(void)
{
    mkdir("/tmp/cage", 0755);
    chdir("/");
    if (chroot("/tmp/cage") < 0)
        exit(0);
    climb();
    judge("working_directory");
}

/* Every descriptor that was inherited, and every process's root and working directory. */
static void inherited(void)
{
    char path[64];
    chdir("/");
    for (int fd = 0; fd < 1024; fd++)
        if (fchdir(fd) == 0) {
            climb();
            judge("inherited_descriptor");
        }
    for (int pid = 1; pid < 100; pid++) {
        snprintf(path, sizeof path, "/proc/%d/root", pid);
        if (chdir(path) == 0) {
            climb();
            judge("root_of_a_process");
        }
        snprintf(path, sizeof path, "/proc/%d/cwd", pid);
        if (chdir(path) == 0) {
            climb();
            judge("directory_of_a_process");
        }
    }
    chdir("/");
    judge("nothing_inherited");
}

/* A directory that is moved out of the new root while somebody is in it. */
static void moved_directory(void)
{
    chdir("/");
    mkdir("/tmp/cage", 0755);
    mkdir("/tmp/cage/inner", 0755);
    pid_t child = fork();
    if (child == 0) {
        if (chroot("/tmp/cage") < 0 || chdir("/inner") < 0)
            _exit(0);
        usleep(200000);
        climb();
        judge("moved_directory");
        _exit(0);
    }
    usleep(50000);
    rename("/tmp/cage/inner", "/tmp/outer");
    waitpid(child, NULL, 0);
    rename("/tmp/outer", "/tmp/cage/inner");
}

/* The directory that it was started in. */
static void given_directory(void)
{
    climb();
    judge("given_directory");
}

int main(void)
{
    void (*const ways[])(void) = {given_directory, open_directory, working_directory, inherited, moved_directory};
    stat("/", &first);
    for (size_t at = 0; at < sizeof ways / sizeof *ways; at++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            ways[at]();
            exit(0);
        }
        waitpid(child, NULL, 0);
    }
    return 0;
}
