/* fuzz_job.c - job files, YAML and JSON.
 *
 * A file is refused with an error that names it, or gives a job that keeps every rule and
 * survives its way through bytes. */
#include "base/assert.h"
#include "tests/lib/wire_values.h"
#include "wire/job_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
