/* A program that root owns and that is set to run as its owner: says as whom it runs. */
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    printf("uid %d\n", geteuid());
    return 0;
}
