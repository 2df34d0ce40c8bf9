/* first.c - prints when it got to its first instruction, in microseconds since 1970, and waits
 * to be killed. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    printf("%lld\n", (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
    fflush(stdout);
    pause();
    return 0;
}
