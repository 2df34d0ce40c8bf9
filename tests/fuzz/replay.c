/* replay.c - main() of a fuzz target without a fuzzer: run it over its corpus.
 *
 * Without arguments it reads every file of $srcdir/tests/fuzz/corpus/<name of the program> and
 * speaks TAP; with arguments it runs those files, to repeat one.  A failure is an abort. */
#include "base/buffer.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    struct buffer input = {0};
    uint8_t *exact;
    size_t n;
    FILE *f = fopen(path, "rb");

    if (f == NULL)
        return -1;
    while ((n = fread(buffer_reserve(&input, 65536), 1, 65536, f)) > 0)
        input.size += n;
    fclose(f);
    /* A block of the exact size, so that a sanitizer sees a read past the end. */
    exact = malloc(input.size > 0 ? input.size : 1);
    if (input.size > 0)
        memcpy(exact, input.data, input.size);
    LLVMFuzzerTestOneInput(exact, input.size);
    free(exact);
    buffer_finish(&input);
    return 0;
}

/* One test of the TAP stream; the file is named first, because a failure is an abort. */
static int replay_test(const char *directory, const char *name, int number)
{
    struct buffer path = {0};
    int rc;

    buffer_printf(&path, "%s/%s", directory, name);
    printf("# %s\n", (const char *)path.data);
    fflush(stdout);
    rc = replay_file((const char *)path.data);
    printf("%s %d - %s\n", rc == 0 ? "ok" : "not ok", number, name);
    buffer_finish(&path);
    return rc;
}

static int replay_directory(const char *path)
{
    struct dirent **files;
    int count = scandir(path, &files, NULL, alphasort), tests = 0, failed = 0;

    if (count < 0) {
        printf("Bail out! no directory %s\n", path);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        if (files[i]->d_name[0] != '.')
            failed |= replay_test(path, files[i]->d_name, ++tests);
        free(files[i]);
    }
    free(files);
    printf("1..%d\n", tests);
    return failed != 0 || tests == 0;
}

int main(int argc, char **argv)
{
    const char *srcdir = getenv("srcdir");
    struct buffer path = {0};
    int failed = 0;

    for (int i = 1; i < argc; i++)
        failed |= replay_file(argv[i]);
    if (argc > 1)
        return failed != 0;
    buffer_printf(&path,
                  "%s/tests/fuzz/corpus/%s",
                  srcdir != NULL ? srcdir : ".",
                  basename(argv[0]));
    failed = replay_directory((const char *)path.data);
    buffer_finish(&path);
    return failed;
}
