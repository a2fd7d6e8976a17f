/* What a program gets from a list of paths: `paths` reads `WAY PATH` lines, and says `WAY PATH RESULT`.
 *
 * The way is `read` (OK and whether anything came, or the error), `write` (opened for writing, nothing is
 * written) or `list` (how many names a directory has). Where `>PATH=TEXT` is meant, `put` writes the rest of
 * the line and says whether it was taken. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *result(const char *way, char *path)
{
    static char text[64];
    char byte;
    if (!strcmp(way, "list")) {
        DIR *directory = opendir(path);
        if (!directory)
            return strerrorname_np(errno);
        int count = -2;
        while (readdir(directory))
            count++;
        closedir(directory);
        return count ? (snprintf(text, sizeof text, "ENTRIES"), text) : "EMPTY";
    }
    char *content = NULL;
    if (!strcmp(way, "put") && (content = strchr(path, '=')))
        *content++ = 0;
    int fd = open(path, (strcmp(way, "read") ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY);
    if (content)
        content[-1] = '=';
    if (fd < 0)
        return strerrorname_np(errno);
    const char *said = "OPEN";
    if (content)
        said = write(fd, content, strlen(content)) < 0 ? strerrorname_np(errno) : "TAKEN";
    if (!strcmp(way, "read")) {
        ssize_t size = read(fd, &byte, 1);
        said = size < 0 ? strerrorname_np(errno) : size ? "BYTES" : "EMPTY";
    }
    close(fd);
    return said;
}

int main(void)
{
    char way[16], path[4096];
    while (scanf("%15s %4095[^\n]", way, path) == 2)
        printf("%s %s %s\n", way, path, result(way, path));
    return 0;
}
