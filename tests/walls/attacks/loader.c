/* Takes the place of the dynamic loader: whatever dynamic program is executed runs this instead. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    char path[4096] = {0};
    int length = readlink("/proc/self/exe", path, sizeof path - 1);
    int readable = open("/proc/self/exe", O_RDONLY) >= 0;
    printf("OWNED %s %s\n", length > 0 ? path : "?", readable ? "readable" : "closed");
    return 0;
}
