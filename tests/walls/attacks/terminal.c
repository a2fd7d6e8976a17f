/* Typing into a terminal that somebody else reads: `terminal` tries every descriptor, and /dev/tty.
 *
 * Prints a line for each terminal that it found, and what came of pushing TEXT back into its input. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static const char *push(int fd, const char *text)
{
    for (; *text; text++)
        if (ioctl(fd, TIOCSTI, text) < 0)
            return strerrorname_np(errno);
    return "TAKEN";
}

static void attack(const char *name, int fd)
{
    char selection[16] = {2 /* TIOCL_SETSEL */};
    const char *pushed = push(fd, "echo taken\n");
    printf("%s pushed %s\n", name, pushed);
    errno = 0;
    int linux_console = ioctl(fd, TIOCLINUX, selection);
    printf("%s selected %s\n", name, linux_console < 0 ? strerrorname_np(errno) : "TAKEN");
    printf("%s stolen %s\n", name, ioctl(fd, TIOCSCTTY, 1) < 0 ? strerrorname_np(errno) : "TAKEN");
    printf("%s console %s\n", name, ioctl(fd, TIOCCONS) < 0 ? strerrorname_np(errno) : "TAKEN");
}

int main(void)
{
    char name[32];
    for (int fd = 0; fd < 1024; fd++)
        if (isatty(fd)) {
            snprintf(name, sizeof name, "descriptor");
            attack(name, fd);
        }
    int own = open("/dev/tty", O_RDWR);
    if (own >= 0)
        attack("/dev/tty", own);
    else
        printf("/dev/tty %s\n", strerrorname_np(errno));
    int console = open("/dev/console", O_RDWR | O_NOCTTY);
    printf("/dev/console %s\n", console < 0 ? strerrorname_np(errno) : isatty(console) ? "TERMINAL" : "OPEN");
    return 0;
}
