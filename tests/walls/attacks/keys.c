/* The keys of a session: `keys hold NAME COMMAND...` keeps one and becomes the command, `keys find NAME`
 * looks for it in the session that it was born in. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { JOIN_SESSION = 1, SEARCH = 10, SET_PERMISSIONS = 5, SESSION = -3 };

int main(int argc, char **argv)
{
    if (argc > 3 && !strcmp(argv[1], "hold")) {
        if (syscall(SYS_keyctl, JOIN_SESSION, NULL) < 0 ||
            syscall(SYS_add_key, "user", argv[2], "secret", 6, SESSION) < 0) {
            fprintf(stderr, "no keys here: %s\n", strerrorname_np(errno));
            return 77;
        }
        execvp(argv[3], argv + 3);
        return 1;
    }
    if (argc > 2) {
        long found = syscall(SYS_keyctl, SEARCH, SESSION, "user", argv[2], 0);
        printf("%s %s\n", argv[2], found < 0 ? strerrorname_np(errno) : "FOUND");
    }
    return 0;
}
