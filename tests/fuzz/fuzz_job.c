/* fuzz_job.c - job files, YAML and JSON.
 *
 * A file is refused with an error that names it, or gives a job that keeps every rule and
 * survives its way through bytes, and through the job file that shows it. */
#include "base/assert.h"
#include "tests/lib/wire_values.h"
#include "wire/job_file.h"
#include "wire/job_json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shown(const struct job_spec *spec)
{
    json_t *shown = job_spec_to_json(spec);
    char *text = json_dumps(shown, 0);
    struct job_spec again;
    struct error err;

    if (job_file_parse(
            &again, "s.json", (struct bytes){(uint8_t *)text, strlen(text)}, &err) != 0)
        assert_failed(err.text, __FILE__, __LINE__, __func__);
    ASSERT(job_specs_equal(spec, &again));
    job_spec_finish(&again);
    json_decref(shown);
    free(text);
}

static void check_file(const char *name, struct bytes text)
{
    struct error err = {0};
    struct job_spec spec, decoded;
    struct buffer packed = {0};
    int rc = job_file_parse(&spec, name, text, &err);

    if (rc != 0) {
        ASSERT(rc == -(int)err.code);
        ASSERT(strncmp(err.text, name, strlen(name)) == 0);
        ASSERT(spec.name == NULL && spec.argv == NULL && spec.env == NULL);
        return;
    }
    ASSERT(job_spec_check(&spec, NULL) == 0);
    job_spec_pack(&spec, &packed);
    ASSERT(job_spec_unpack(&decoded, buffer_view(&packed), NULL) == 0);
    ASSERT(job_specs_equal(&spec, &decoded));
    job_spec_finish(&decoded);
    check_shown(&spec);
    job_spec_finish(&spec);
    buffer_finish(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = {data, size};

    check_file("f.yaml", text);
    check_file("f.json", text);
    return 0;
}
