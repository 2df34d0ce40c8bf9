/* job_read_parts.c - the parts of a job that are maps or lists of their own.
 *
 * One table for each map.  Defaults of a part are set when the part is there. */
#include "wire/job_read.h"

#include "base/mem.h"
#include "base/text.h"

#include <stddef.h>
#include <string.h>

/* ---- image ---- */

JOB_FIELD(image_source, job_read_text, struct job_image, source)
JOB_FIELD(image_sha256, job_read_text, struct job_image, sha256)

static const struct job_field IMAGE_FIELDS[] = {
    {"source", image_source},
    {"sha256", image_sha256},
    {NULL, NULL},
};

int job_read_image(struct job_reader *r, const json_t *value, void *part)
{
    (void)part;
    if (json_is_string(value))
        return job_read_text(r, value, &r->spec->image.source);
    return job_read_fields(r,
                           IMAGE_FIELDS,
                           value,
                           "a text like oci:/images/web:1, or a map of source and "
                           "sha256",
                           &r->spec->image);
}

/* ---- ports and custom resources ---- */

static int ports_count(struct job_reader *r, const json_t *value, void *part)
{
    json_int_t n;
    int rc = job_read_integer(r, value, 0, LIMIT_TASK_PORTS, &n);

    (void)part;
    if (rc == 0)
        r->spec->ports.count = (uint32_t)n;
    return rc;
}

/* Kept in order, so that equal jobs have equal bytes. */
static int fixed_range(struct job_reader *r, const json_t *value, void *part)
{
    struct job_ports *ports = &r->spec->ports;
    struct port_range range;
    int rc = job_read_range(r, value, &range);

    (void)part;
    if (rc != 0)
        return rc;
    if (ports->fixed_count == LIMIT_PORT_RANGES)
        return error_set(r->err,
                         ERROR_TOO_LARGE,
                         "%s: more ranges than %d",
                         r->path.text,
                         LIMIT_PORT_RANGES);
    port_ranges_insert(ports->fixed, &ports->fixed_count, range);
    return 0;
}

static int ports_fixed(struct job_reader *r, const json_t *value, void *part)
{
    return job_read_list(r, value, "a list of ports and ranges", fixed_range, part);
}

static const struct job_field PORT_FIELDS[] = {
    {"count", ports_count},
    {"fixed", ports_fixed},
    {NULL, NULL},
};

int job_read_ports(struct job_reader *r, const json_t *value, void *part)
{
    if (json_is_array(value))
        return ports_fixed(r, value, part);
    if (json_is_number(value))
        return ports_count(r, value, part);
    return job_read_fields(r,
                           PORT_FIELDS,
                           value,
                           "how many, a list of ports and ranges, or a map of count "
                           "and fixed",
                           part);
}

int job_read_custom(struct job_reader *r, const json_t *value, void *part)
{
    const char *name;
    json_t *item;

    (void)part;
    if (!json_is_object(value))
        return job_wrong_type(r, value, "a map of NAME: amount");
    json_object_foreach ((json_t *)value, name, item) {
        size_t before = field_path_enter_key(&r->path, name);
        char text[JOB_NUMBER_TEXT_MAX];
        const char *at = text;
        uint64_t amount;

        if (job_read_number(r, item, "a number, as 1 or 0.5", text) != 0)
            return -(int)r->err->code;
        if (!text_take_thousandths(&at, &amount) || *at != '\0')
            return error_set(r->err,
                             ERROR_INVALID,
                             "%s: %s; give a number above 0, with at most three "
                             "decimals",
                             r->path.text,
                             text);
        custom_resources_add(&r->spec->custom, name, amount);
        field_path_leave(&r->path, before);
    }
    return 0;
}

/* ---- artifacts ---- */

JOB_FIELD(artifact_source, job_read_text, struct job_artifact, source)
JOB_FIELD(artifact_sha256, job_read_text, struct job_artifact, sha256)
JOB_FIELD(artifact_path, job_read_text, struct job_artifact, path)
JOB_FIELD(artifact_unpack, job_read_bool, struct job_artifact, unpack)
JOB_FIELD(artifact_executable, job_read_bool, struct job_artifact, executable)
JOB_FIELD(artifact_max_size, job_read_mib, struct job_artifact, max_bytes)
JOB_FIELD(artifact_timeout, job_read_time, struct job_artifact, timeout_ms)

static const struct job_field ARTIFACT_FIELDS[] = {
    {"source", artifact_source},
    {"sha256", artifact_sha256},
    {"path", artifact_path},
    {"unpack", artifact_unpack},
    {"executable", artifact_executable},
    {"max_size", artifact_max_size},
    {"timeout", artifact_timeout},
    {NULL, NULL},
};

/* The last part of a URL, without what follows '?' or '#'; what is unpacked goes into the
 * sandbox itself. */
static char *default_path(const struct job_artifact *a)
{
    size_t size = strcspn(a->source, "?#"), at = size;

    if (a->unpack)
        return mem_strdup(".");
    while (at > 0 && a->source[at - 1] != '/')
        at--;
    return text_copy((struct bytes){(const uint8_t *)a->source + at, size - at});
}

static int read_artifact(struct job_reader *r, const json_t *value, void *part)
{
    struct job_artifact *a;
    int rc;

    (void)part;
    if (r->spec->artifact_count == LIMIT_ARTIFACTS)
        return error_set(r->err,
                         ERROR_TOO_LARGE,
                         "%s: more artifacts than %d",
                         r->path.text,
                         LIMIT_ARTIFACTS);
    a = job_spec_add_artifact(r->spec);
    a->max_bytes = JOB_ARTIFACT_BYTES;
    a->timeout_ms = JOB_ARTIFACT_TIMEOUT_MS;
    rc = job_read_fields(
        r, ARTIFACT_FIELDS, value, "a map of source, sha256, path, …", a);
    if (rc == 0 && a->path == NULL && a->source != NULL)
        a->path = default_path(a);
    return rc;
}

int job_read_artifacts(struct job_reader *r, const json_t *value, void *part)
{
    return job_read_list(r, value, "a list of artifacts", read_artifact, part);
}

/* ---- volumes ---- */

JOB_FIELD(volume_source, job_read_text, struct job_volume, source)
JOB_FIELD(volume_target, job_read_text, struct job_volume, target)
JOB_FIELD(volume_read_only, job_read_bool, struct job_volume, read_only)

static const struct job_field VOLUME_FIELDS[] = {
    {"source", volume_source},
    {"target", volume_target},
    {"read_only", volume_read_only},
    {NULL, NULL},
};

static int read_volume(struct job_reader *r, const json_t *value, void *part)
{
    (void)part;
    if (r->spec->volume_count == LIMIT_VOLUMES)
        return error_set(r->err,
                         ERROR_TOO_LARGE,
                         "%s: more volumes than %d",
                         r->path.text,
                         LIMIT_VOLUMES);
    return job_read_fields(r,
                           VOLUME_FIELDS,
                           value,
                           "a map of source, target and read_only",
                           job_spec_add_volume(r->spec));
}

int job_read_volumes(struct job_reader *r, const json_t *value, void *part)
{
    return job_read_list(r, value, "a list of volumes", read_volume, part);
}

/* ---- restart and reschedule ---- */

static int retry_attempts(struct job_reader *r, const json_t *value, void *part)
{
    struct job_retry *retry = part;
    json_int_t n;
    int rc;

    if (json_is_string(value) && strcmp(json_string_value(value), "unlimited") == 0) {
        retry->attempts = JOB_UNLIMITED;
        return 0;
    }
    if (!json_is_number(value))
        return job_wrong_number(r, value, "a whole number, or unlimited");
    rc = job_read_integer(r, value, 1, UINT32_MAX - 1, &n);
    if (rc == 0)
        retry->attempts = (uint32_t)n;
    return rc;
}

JOB_FIELD(retry_interval, job_read_time, struct job_retry, interval_ms)
JOB_FIELD(retry_delay, job_read_time, struct job_retry, delay_ms)
JOB_FIELD(retry_max_delay, job_read_time, struct job_retry, max_delay_ms)

static const struct job_field RETRY_FIELDS[] = {
    {"attempts", retry_attempts},
    {"interval", retry_interval},
    {"delay", retry_delay},
    {"max_delay", retry_max_delay},
    {NULL, NULL},
};

/* A delay above the default of max_delay raises it. */
int job_read_retry(struct job_reader *r, const json_t *value, void *part)
{
    struct job_retry *retry = part;
    int rc;

    *retry = (struct job_retry){.interval_ms = JOB_RETRY_INTERVAL_MS,
                                .delay_ms = JOB_RETRY_DELAY_MS,
                                .max_delay_ms = JOB_RETRY_MAX_DELAY_MS};
    rc = job_read_fields(r,
                         RETRY_FIELDS,
                         value,
                         "a map of attempts, interval, delay and max_delay",
                         retry);
    if (rc == 0 && json_object_get(value, "max_delay") == NULL &&
        retry->delay_ms > retry->max_delay_ms)
        retry->max_delay_ms = retry->delay_ms;
    return rc;
}

/* ---- health and readiness ---- */

static void add_check_arg(void *part, const char *arg)
{
    job_check_add_arg(part, arg);
}

static int check_command(struct job_reader *r, const json_t *value, void *part)
{
    ((struct job_check *)part)->kind = CHECK_COMMAND;
    return job_read_command(r, value, add_check_arg, part);
}

static int check_argv(struct job_reader *r, const json_t *value, void *part)
{
    ((struct job_check *)part)->kind = CHECK_COMMAND;
    return job_read_argv(r, value, add_check_arg, part);
}

static int check_http(struct job_reader *r, const json_t *value, void *part)
{
    struct job_check *check = part;

    check->kind = CHECK_HTTP;
    return job_read_text(r, value, &check->path);
}

static int check_tcp(struct job_reader *r, const json_t *value, void *part)
{
    ((struct job_check *)part)->kind = CHECK_TCP;
    if (!json_is_true(value))
        return job_wrong_type(r, value, "true, or leave it out");
    return 0;
}

static int check_port(struct job_reader *r, const json_t *value, void *part)
{
    json_int_t n;
    int rc = job_read_integer(r, value, 1, UINT16_MAX, &n);

    if (rc == 0)
        ((struct job_check *)part)->port = (uint16_t)n;
    return rc;
}

static int check_port_index(struct job_reader *r, const json_t *value, void *part)
{
    json_int_t n;
    int rc = job_read_integer(r, value, 0, LIMIT_TASK_PORTS - 1, &n);

    if (rc == 0)
        ((struct job_check *)part)->port_index = (uint32_t)n;
    return rc;
}

static int check_failures(struct job_reader *r, const json_t *value, void *part)
{
    json_int_t n;
    int rc = job_read_integer(r, value, 1, LIMIT_CHECK_FAILURES, &n);

    if (rc == 0)
        ((struct job_check *)part)->failures = (uint32_t)n;
    return rc;
}

JOB_FIELD(check_interval, job_read_time, struct job_check, interval_ms)
JOB_FIELD(check_timeout, job_read_time, struct job_check, timeout_ms)
JOB_FIELD(check_start_delay, job_read_time, struct job_check, start_delay_ms)

static const struct job_field CHECK_FIELDS[] = {
    {"command", check_command},
    {"argv", check_argv},
    {"http", check_http},
    {"tcp", check_tcp},
    {"port", check_port},
    {"port_index", check_port_index},
    {"interval", check_interval},
    {"timeout", check_timeout},
    {"start_delay", check_start_delay},
    {"failures", check_failures},
    {NULL, NULL},
};

/* What only makes sense with, or without, another field. */
static int check_form(struct job_reader *r, const json_t *map)
{
    static const char *const KINDS[] = {"command", "argv", "http", "tcp"};
    bool port = json_object_get(map, "port") != NULL;
    bool port_index = json_object_get(map, "port_index") != NULL;
    unsigned kinds = 0;

    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
        kinds += json_object_get(map, KINDS[i]) != NULL;
    if (kinds != 1)
        return error_set(r->err,
                         ERROR_INVALID,
                         "%s: give one of command, argv, http and tcp",
                         r->path.text);
    if (port && port_index)
        return error_set(r->err,
                         ERROR_INVALID,
                         "%s: give port or port_index, not both",
                         r->path.text);
    if ((port || port_index) && json_object_get(map, "http") == NULL &&
        json_object_get(map, "tcp") == NULL)
        return error_set(r->err,
                         ERROR_INVALID,
                         "%s: a command needs no port; leave it out",
                         r->path.text);
    return 0;
}

static int read_check(struct job_reader *r, const json_t *value, void *part)
{
    const enum check_role *role = part;
    struct job_check *check;
    int rc;

    if (r->spec->check_count == LIMIT_CHECKS)
        return error_set(r->err,
                         ERROR_TOO_LARGE,
                         "%s: more checks than %d, health and readiness together",
                         r->path.text,
                         LIMIT_CHECKS);
    check = job_spec_add_check(r->spec);
    check->role = *role;
    check->interval_ms = JOB_CHECK_INTERVAL_MS;
    check->timeout_ms = JOB_CHECK_TIMEOUT_MS;
    check->failures = JOB_CHECK_FAILURES;
    rc = job_read_fields(
        r, CHECK_FIELDS, value, "a check: a map of command, http or tcp, …", check);
    return rc == 0 ? check_form(r, value) : rc;
}

static int read_checks(struct job_reader *r, const json_t *value, enum check_role role)
{
    if (json_is_object(value))
        return read_check(r, value, &role);
    return job_read_list(r, value, "a check or a list of checks", read_check, &role);
}

int job_read_health(struct job_reader *r, const json_t *value, void *part)
{
    (void)part;
    return read_checks(r, value, CHECK_HEALTH);
}

int job_read_readiness(struct job_reader *r, const json_t *value, void *part)
{
    (void)part;
    return read_checks(r, value, CHECK_READINESS);
}

/* ---- without a leader ---- */

JOB_FIELD(stop_after, job_read_time, struct job_spec, stop_after_ms)

static const struct job_field DISCONNECT_FIELDS[] = {
    {"stop_after", stop_after},
    {NULL, NULL},
};

int job_read_on_disconnect(struct job_reader *r, const json_t *value, void *part)
{
    static const char HINT[] = "keep, or a map like {stop_after: 30s}";

    (void)part;
    if (json_is_string(value) && strcmp(json_string_value(value), "keep") == 0)
        return 0;
    if (json_is_object(value) && json_object_size(value) == 0)
        return error_set(
            r->err, ERROR_INVALID, "%s: it is empty; give %s", r->path.text, HINT);
    return job_read_fields(r, DISCONNECT_FIELDS, value, HINT, r->spec);
}

JOB_FIELD(exclusive_lease, job_read_time, struct job_spec, lease_ms)
JOB_FIELD(exclusive_grace, job_read_time, struct job_spec, lease_grace_ms)

/* Percent with one decimal are thousandths. */
static int exclusive_drift(struct job_reader *r, const json_t *value, void *part)
{
    char text[JOB_NUMBER_TEXT_MAX];
    const char *at = text;
    uint64_t milli;

    if (job_read_number(r, value, "a number of percent, as 2.5", text) != 0)
        return -(int)r->err->code;
    if (!text_take_thousandths(&at, &milli) || *at != '\0' || milli % 100 != 0 ||
        milli / 100 > LIMIT_DRIFT_PERMILLE)
        return error_set(r->err,
                         ERROR_INVALID,
                         "%s: %s; give percent from 0 to %d, with at most one decimal",
                         r->path.text,
                         text,
                         LIMIT_DRIFT_PERMILLE / 10);
    ((struct job_spec *)part)->drift_permille = (uint32_t)(milli / 100);
    return 0;
}

static const struct job_field EXCLUSIVE_FIELDS[] = {
    {"lease", exclusive_lease},
    {"drift", exclusive_drift},
    {"grace", exclusive_grace},
    {NULL, NULL},
};

int job_read_exclusive(struct job_reader *r, const json_t *value, void *part)
{
    (void)part;
    if (json_is_false(value))
        return 0;
    r->spec->lease_ms = JOB_LEASE_MS;
    r->spec->drift_permille = JOB_DRIFT_PERMILLE;
    r->spec->lease_grace_ms = JOB_LEASE_GRACE_MS;
    if (json_is_true(value))
        return 0;
    if (job_read_fields(r,
                        EXCLUSIVE_FIELDS,
                        value,
                        "true, or a map of lease, drift and grace",
                        r->spec) != 0)
        return -(int)r->err->code;
    if (r->spec->lease_ms == 0) {
        field_path_enter_key(&r->path, "lease");
        return error_set(
            r->err, ERROR_INVALID, "%s: 0; give a time from 2s to 365d", r->path.text);
    }
    return 0;
}
