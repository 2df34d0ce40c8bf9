/* standard_files.c - the descriptors 0, 1 and 2 belong to input, output and errors. */
#include "base/standard_files.h"

#include "base/assert.h"

#include <fcntl.h>
#include <unistd.h>

void standard_files_reserve(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0) /* the lowest that is free: so it becomes fd */
            ASSERT(open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) == fd);
}
