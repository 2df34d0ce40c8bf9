/* main.c - triarch-fetch: gets what a task needs before it starts.
 *
 *     triarch-fetch artifacts   into the current directory, as the task's user
 *     triarch-fetch image       into the agent's cache, as the agent's user; prints its key
 *
 * A shim starts it inside the task's own group.  The request is JSON on stdin, where no
 * other user sees the URLs; it ends with 0, or with 1 and the reason in one line on stderr.
 * It is a program of its own so that neither agent nor shim holds HTTP and archive code.
 */
#include "base/standard_files.h"
#include "fetch/artifact.h"
#include "fetch/image.h"

#include <curl/curl.h>
#include <jansson.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#define EXIT_FAILED 1
#define EXIT_USAGE  2

typedef int step_run(const json_t *request, struct error *err);

static const struct {
    const char *name;
    step_run *run;
} STEPS[] = {
    {"artifacts", artifacts_fetch},
    {"image", image_fetch},
};

static step_run *find_step(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof(STEPS) / sizeof(STEPS[0]); i++)
        if (strcmp(argv[1], STEPS[i].name) == 0)
            return STEPS[i].run;
    return NULL;
}

static int run(step_run *step, struct error *err)
{
    json_error_t why;
    json_t *request = json_loadf(stdin, JSON_REJECT_DUPLICATES, &why);
    int rv;

    if (request == NULL)
        return error_set(err, ERROR_INVALID, "request: %s", why.text);
    rv = step(request, err);
    json_decref(request);
    return rv;
}

int main(int argc, char **argv)
{
    step_run *step = find_step(argc, argv);
    struct error err;
    int rv;

    standard_files_reserve();
    setlocale(LC_ALL, "C.UTF-8"); /* names in archives are UTF-8 */
    if (step == NULL) {
        fprintf(stderr, "triarch-fetch is started by triarch-agent\n");
        return EXIT_USAGE;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fprintf(stderr, "libcurl does not start\n");
        return EXIT_FAILED;
    }
    rv = run(step, &err);
    if (rv != 0)
        fprintf(stderr, "%s\n", err.text);
    curl_global_cleanup();
    return rv == 0 ? 0 : EXIT_FAILED;
}
