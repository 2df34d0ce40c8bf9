/* attempt_names.c - which attempt of which task a sandbox is of.
 *
 * The link by the id comes first and goes last: whatever is killed meanwhile, the link by the
 * name can be removed.
 */
#include "agent/attempt_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TARGET "../runs/"

struct path {
    char text[64];
};

static struct path path_of_id(uint64_t attempt)
{
    struct path p;

    snprintf(
        p.text, sizeof(p.text), ATTEMPT_NAMES "/%llu", (unsigned long long)attempt);
    return p;
}

static struct path path_of_name(const struct attempt_name *name)
{
    struct path p;

    snprintf(p.text,
             sizeof(p.text),
             ATTEMPT_NAMES "/%llu.%u.%u",
             (unsigned long long)name->job,
             name->instance,
             name->number);
    return p;
}

static ssize_t read_link(int work_dir, const char *path, char *text, size_t room)
{
    ssize_t size = readlinkat(work_dir, path, text, room - 1);

    text[size < 0 ? 0 : size] = '\0';
    return size;
}

void attempt_names_add(int work_dir, uint64_t attempt, const struct attempt_name *name)
{
    struct path by_id = path_of_id(attempt), by_name = path_of_name(name);
    char target[48];

    snprintf(target, sizeof(target), TARGET "%llu", (unsigned long long)attempt);
    if (symlinkat(strchr(by_name.text, '/') + 1, work_dir, by_id.text) == 0)
        (void)!symlinkat(target, work_dir, by_name.text);
}

uint64_t attempt_names_find(int work_dir, const struct attempt_name *name)
{
    char target[48];

    if (read_link(work_dir, path_of_name(name).text, target, sizeof(target)) <
        (ssize_t)strlen(TARGET))
        return 0;
    return strtoull(target + strlen(TARGET), NULL, 10);
}

void attempt_names_remove(int work_dir, uint64_t attempt)
{
    struct path by_id = path_of_id(attempt), by_name = {ATTEMPT_NAMES "/"};
    size_t at = strlen(by_name.text);

    if (read_link(work_dir, by_id.text, by_name.text + at, sizeof(by_name.text) - at) <
        0)
        return;
    unlinkat(work_dir, by_name.text, 0);
    unlinkat(work_dir, by_id.text, 0);
}
