/* cgroup_memory.c - where the groups are, for the next agent. */
#include "agent/cgroup_memory.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LINE_ROOM   (CGROUP_TEXT + 1)
#define MEMORY_FILE "cgroups" /* of the work directory */

static void memory_path(const struct cgroup_find_options *o, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%.4000s/" MEMORY_FILE, o->work_dir);
}

bool cgroup_recall(struct cgroups *out, const struct cgroup_find_options *options)
{
    char path[PATH_MAX], *line = mem_alloc(LINE_ROOM);
    bool good = false;
    FILE *f;

    memory_path(options, path);
    f = fopen(path, "re");
    if (f != NULL && fgets(line, LINE_ROOM, f) != NULL)
        good = strncmp(line, options->boot_id, BOOT_ID_BYTES) == 0;
    while (good && fgets(line, LINE_ROOM, f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        good = cgroups_add(out, line) == 0;
    }
    if (f != NULL)
        fclose(f);
    mem_free(line);
    if (good && out->count > 0)
        return true;
    cgroups_close(out);
    return false;
}

int cgroup_remember(const struct cgroups *c,
                    const struct cgroup_find_options *options,
                    struct error *err)
{
    char path[PATH_MAX], fresh[PATH_MAX], text[CGROUP_TEXT];
    FILE *f;
    bool good;

    memory_path(options, path);
    snprintf(fresh, sizeof(fresh), "%.4000s.new", path);
    f = fopen(fresh, "we");
    good = f != NULL &&
           fprintf(f, "%.*s\n", BOOT_ID_BYTES, options->boot_id) == BOOT_ID_BYTES + 1;
    for (unsigned i = 0; good && i < c->count; i++) {
        cgroups_print(c, i, text);
        good = fprintf(f, "%s\n", text) > 0;
    }
    if (f != NULL)
        good = fclose(f) == 0 && good;
    if (!good || rename(fresh, path) != 0)
        return error_set(err, ERROR_IO, "cannot write %s: %s", path, strerror(errno));
    return 0;
}
