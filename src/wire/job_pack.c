/* job_pack.c - the canonical bytes of a job spec.
 *
 *     [name, instances, priority, [amount…], kill_grace_ms, [arg…], ["NAME=value"…],
 *      [image, sha256], user, [port count, [[first, last]…]], [[custom name, amount]…],
 *      cpu_hard, [artifact…], [volume…], max_runtime_ms, restart, reschedule, [check…],
 *      stop_after_ms, [lease_ms, drift_permille, lease_grace_ms],
 *      [role, estimate_ms, kind, [[job, on]…], [cron, timezone, missed, overlap],
 *       [[name, value?]…], match, gang]]
 *
 * The last one is what masters alone need: agents get the rest (job_spec_pack_agent_part()).
 *
 * Arguments and variables are bytes, not text: Linux allows any byte but zero.  Of the fields
 * from the eighth on, those that are zero up to the end are left out, so a simple job is
 * short; a part of them that is not given is an empty array.
 *
 * Fields that a reader does not know are an error: a job that is run without a part of what it
 * asks for does harm, and masters would no longer have one state.
 */
#include "wire/job_private.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/pack.h"

#include <string.h>

#define FIELDS_ALWAYS 7

/* With every text at its limit and a head on each, a spec fits.  A head has two bytes, and up to
 * three more for texts of 256 bytes or more, of which there are few. */
_Static_assert(
    LIMIT_ARGV_ENV_BYTES + 2 * 2 * LIMIT_ARGS + 3 * (LIMIT_ARGV_ENV_BYTES / 256) +
            LIMIT_NAME_BYTES + 128 + LIMIT_JOB_TEXT_BYTES + LIMIT_CUSTOM * 16 +
            (LIMIT_ARTIFACTS + LIMIT_VOLUMES) * 112 + LIMIT_CHECKS * 80 +
            LIMIT_PORT_RANGES * 8 + LIMIT_AFTER * 11 + LIMIT_CRON_BYTES +
            LIMIT_ZONE_BYTES +
            (LIMIT_CONSTRAINTS + LIMIT_AFFINITIES + LIMIT_SPREADS + LIMIT_APARTS) * 16 +
            256 <=
        LIMIT_SPEC_BYTES,
    "a job spec that keeps the rules fits its limit");

/* ---- writing ---- */

static void pack_strings(char *const *strings, size_t count, struct buffer *out)
{
    pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        pack_bytes(out, text_view(strings[i]));
}

static void pack_image(const struct job_spec *spec, struct buffer *out)
{
    if (spec->image.source == NULL) {
        pack_array(out, 0);
        return;
    }
    pack_array(out, spec->image.sha256 == NULL ? 1 : 2);
    pack_text(out, spec->image.source);
    if (spec->image.sha256 != NULL)
        pack_text(out, spec->image.sha256);
}

static void pack_user(const struct job_spec *spec, struct buffer *out)
{
    pack_text(out, spec->user);
}

static void pack_ports(const struct job_spec *spec, struct buffer *out)
{
    if (spec->ports.count == 0 && spec->ports.fixed_count == 0) {
        pack_array(out, 0);
        return;
    }
    pack_array(out, 2);
    pack_uint(out, spec->ports.count);
    port_ranges_pack(spec->ports.fixed, spec->ports.fixed_count, out);
}

static void pack_custom(const struct job_spec *spec, struct buffer *out)
{
    custom_resources_pack(&spec->custom, out);
}

static void pack_cpu_hard(const struct job_spec *spec, struct buffer *out)
{
    pack_bool(out, spec->cpu_hard);
}

static void pack_artifacts(const struct job_spec *spec, struct buffer *out)
{
    pack_array(out, (uint32_t)spec->artifact_count);
    for (size_t i = 0; i < spec->artifact_count; i++) {
        const struct job_artifact *a = &spec->artifacts[i];

        pack_array(out, 7);
        pack_text(out, a->source);
        pack_text(out, a->sha256);
        pack_text(out, a->path);
        pack_bool(out, a->unpack);
        pack_bool(out, a->executable);
        pack_uint(out, a->max_bytes);
        pack_uint(out, a->timeout_ms);
    }
}

static void pack_volumes(const struct job_spec *spec, struct buffer *out)
{
    pack_array(out, (uint32_t)spec->volume_count);
    for (size_t i = 0; i < spec->volume_count; i++) {
        pack_array(out, 3);
        pack_text(out, spec->volumes[i].source);
        pack_text(out, spec->volumes[i].target);
        pack_bool(out, spec->volumes[i].read_only);
    }
}

static void pack_max_runtime(const struct job_spec *spec, struct buffer *out)
{
    pack_uint(out, spec->max_runtime_ms);
}

static void pack_retry(const struct job_retry *r, struct buffer *out)
{
    if (r->attempts == 0) {
        pack_array(out, 0);
        return;
    }
    pack_array(out, 4);
    pack_uint(out, r->attempts);
    pack_uint(out, r->interval_ms);
    pack_uint(out, r->delay_ms);
    pack_uint(out, r->max_delay_ms);
}

static void pack_restart(const struct job_spec *spec, struct buffer *out)
{
    pack_retry(&spec->restart, out);
}

static void pack_reschedule(const struct job_spec *spec, struct buffer *out)
{
    pack_retry(&spec->reschedule, out);
}

static void pack_checks(const struct job_spec *spec, struct buffer *out)
{
    pack_array(out, (uint32_t)spec->check_count);
    for (size_t i = 0; i < spec->check_count; i++) {
        const struct job_check *c = &spec->checks[i];

        pack_array(out, 10);
        pack_uint(out, c->role);
        pack_uint(out, c->kind);
        pack_strings(c->argv, c->argc, out);
        pack_text(out, c->path);
        pack_uint(out, c->port);
        pack_uint(out, c->port_index);
        pack_uint(out, c->interval_ms);
        pack_uint(out, c->timeout_ms);
        pack_uint(out, c->start_delay_ms);
        pack_uint(out, c->failures);
    }
}

static void pack_stop_after(const struct job_spec *spec, struct buffer *out)
{
    pack_uint(out, spec->stop_after_ms);
}

static void pack_lease(const struct job_spec *spec, struct buffer *out)
{
    if (!job_is_exclusive(spec)) {
        pack_array(out, 0);
        return;
    }
    pack_array(out, 3);
    pack_uint(out, spec->lease_ms);
    pack_uint(out, spec->drift_permille);
    pack_uint(out, spec->lease_grace_ms);
}

static void pack_role(const struct job_spec *spec, struct buffer *out)
{
    pack_text(out, spec->role);
}

static void pack_estimate(const struct job_spec *spec, struct buffer *out)
{
    pack_uint(out, spec->estimate_ms);
}

static void pack_kind(const struct job_spec *spec, struct buffer *out)
{
    pack_uint(out, spec->kind);
}

static void pack_after(const struct job_spec *spec, struct buffer *out)
{
    pack_array(out, (uint32_t)spec->after_count);
    for (size_t i = 0; i < spec->after_count; i++) {
        pack_array(out, 2);
        pack_int(out, spec->after[i].job);
        pack_uint(out, spec->after[i].on);
    }
}

static void pack_schedule(const struct job_spec *spec, struct buffer *out)
{
    const struct job_schedule *s = &spec->schedule;

    if (s->cron == NULL) {
        pack_array(out, 0);
        return;
    }
    pack_array(out, 4);
    pack_text(out, s->cron);
    pack_text(out, s->timezone);
    pack_uint(out, s->missed);
    pack_uint(out, s->overlap);
}

static void pack_parameters(const struct job_spec *spec, struct buffer *out)
{
    pack_array(out, (uint32_t)spec->parameter_count);
    for (size_t i = 0; i < spec->parameter_count; i++) {
        const struct job_parameter *p = &spec->parameters[i];

        pack_array(out, p->value == NULL ? 1 : 2);
        pack_text(out, p->name);
        if (p->value != NULL)
            pack_bytes(out, text_view(p->value));
    }
}

static void pack_match(const struct job_spec *spec, struct buffer *out)
{
    match_pack(&spec->match, out);
}

static void pack_gang(const struct job_spec *spec, struct buffer *out)
{
    pack_bool(out, spec->gang);
}

typedef void pack_field(const struct job_spec *spec, struct buffer *out);

/* How many fields stand in the bytes: up to the last that is given. */
static uint32_t count_given(const bool *given, uint32_t n)
{
    while (n > 0 && !given[n - 1])
        n--;
    return n;
}

/* Of masters alone; what may be left out, in order. */
static pack_field *const SCHEDULING[] = {pack_role,
                                         pack_estimate,
                                         pack_kind,
                                         pack_after,
                                         pack_schedule,
                                         pack_parameters,
                                         pack_match,
                                         pack_gang};

#define SCHEDULING_OF_MATCH 6 /* before it */
#define SCHEDULING_OF_GANG  7 /* likewise */

static uint32_t count_scheduling(const struct job_spec *spec)
{
    const bool given[] = {
        spec->role != NULL,
        spec->estimate_ms != 0,
        spec->kind != JOB_BATCH,
        spec->after_count > 0,
        spec->schedule.cron != NULL,
        spec->parameter_count > 0,
        !match_is_empty(&spec->match),
        spec->gang,
    };

    _Static_assert(sizeof(given) / sizeof(given[0]) ==
                       sizeof(SCHEDULING) / sizeof(SCHEDULING[0]),
                   "each has its writer");
    return count_given(given, sizeof(given) / sizeof(given[0]));
}

static void pack_scheduling(const struct job_spec *spec, struct buffer *out)
{
    uint32_t count = count_scheduling(spec);

    pack_array(out, count);
    for (uint32_t i = 0; i < count; i++)
        SCHEDULING[i](spec, out);
}

/* What may be left out, in order. */
static pack_field *const OPTIONAL[] = {
    pack_image,
    pack_user,
    pack_ports,
    pack_custom,
    pack_cpu_hard,
    pack_artifacts,
    pack_volumes,
    pack_max_runtime,
    pack_restart,
    pack_reschedule,
    pack_checks,
    pack_stop_after,
    pack_lease,
    pack_scheduling,
};

#define OPTIONAL_COUNT   (sizeof(OPTIONAL) / sizeof(OPTIONAL[0]))
#define FIELDS_OF_AGENTS (FIELDS_ALWAYS + OPTIONAL_COUNT - 1)

static uint32_t count_of_agents(const struct job_spec *spec)
{
    const bool given[] = {
        spec->image.source != NULL,
        spec->user != NULL,
        spec->ports.count > 0 || spec->ports.fixed_count > 0,
        spec->custom.count > 0,
        spec->cpu_hard,
        spec->artifact_count > 0,
        spec->volume_count > 0,
        spec->max_runtime_ms != 0,
        spec->restart.attempts != 0,
        spec->reschedule.attempts != 0,
        spec->check_count > 0,
        spec->stop_after_ms != 0,
        job_is_exclusive(spec),
    };

    _Static_assert(sizeof(given) / sizeof(given[0]) + 1 == OPTIONAL_COUNT,
                   "each has its writer");
    return count_given(given, sizeof(given) / sizeof(given[0]));
}

bool job_spec_is_plain(const struct job_spec *spec)
{
    return count_of_agents(spec) == 0;
}

void job_spec_pack(const struct job_spec *spec, struct buffer *out)
{
    uint32_t optional =
        count_scheduling(spec) > 0 ? OPTIONAL_COUNT : count_of_agents(spec);

    pack_array(out, FIELDS_ALWAYS + optional);
    pack_text(out, spec->name);
    pack_uint(out, spec->instances);
    pack_int(out, spec->priority);
    resources_pack(&spec->resources, out);
    pack_uint(out, spec->kill_grace_ms);
    pack_strings(spec->argv, spec->argc, out);
    pack_strings(spec->env, spec->env_count, out);
    for (uint32_t i = 0; i < optional; i++)
        OPTIONAL[i](spec, out);
}

/* What is not given is one byte: zero, false, or an empty text or array. */
static bool is_given(struct bytes field)
{
    return field.size != 1 || memchr("\x00\xc2\xa0\x90", field.data[0], 4) == NULL;
}

void job_spec_pack_agent_part(struct bytes spec, struct buffer *out)
{
    struct buffer part = {0};
    struct unpack u;
    const uint8_t *first, *end;
    uint32_t count = 0;

    unpack_init(&u, spec);
    if (unpack_enter(&u) <= FIELDS_OF_AGENTS) {
        pack_bytes(out, spec);
        return;
    }
    first = end = u.at;
    for (uint32_t i = 1; i <= FIELDS_OF_AGENTS; i++) {
        const uint8_t *field = u.at;

        unpack_skip(&u);
        if (i > FIELDS_ALWAYS &&
            !is_given((struct bytes){field, (size_t)(u.at - field)}))
            continue;
        count = i;
        end = u.at;
    }
    pack_array(&part, count);
    buffer_append(&part, first, (size_t)(end - first));
    pack_bytes(out, buffer_view(&part));
    buffer_finish(&part);
}

/* ---- reading ---- */

static void unpack_strings(struct unpack *u, char ***strings, size_t *count)
{
    uint32_t n = unpack_enter(u);

    if (n > LIMIT_ARGS)
        unpack_fail(u, "more arguments or variables than the limit");
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        struct bytes value = unpack_bytes(u, LIMIT_ARGV_ENV_BYTES);

        if (value.size > 0 && memchr(value.data, '\0', value.size) != NULL)
            unpack_fail(u, "an argument or a variable has a zero byte inside");
        job_append_string(strings, count, text_copy(value));
    }
    unpack_leave_known(u);
}

/* NULL for an empty one. */
static char *unpack_owned(struct unpack *u, size_t max)
{
    struct bytes text = unpack_text(u, max);

    return text.size == 0 ? NULL : text_copy(text);
}

static void unpack_image(struct job_spec *spec, struct unpack *u)
{
    unpack_enter(u);
    spec->image.source = unpack_owned(u, LIMIT_SOURCE_BYTES);
    spec->image.sha256 = unpack_owned(u, LIMIT_SOURCE_BYTES);
    unpack_leave_known(u);
}

static void unpack_ports(struct job_spec *spec, struct unpack *u)
{
    unpack_enter(u);
    spec->ports.count = (uint32_t)unpack_uint_max(u, UINT16_MAX);
    port_ranges_unpack(
        spec->ports.fixed, &spec->ports.fixed_count, LIMIT_PORT_RANGES, u);
    unpack_leave_known(u);
}

static void unpack_artifacts(struct job_spec *spec, struct unpack *u)
{
    uint32_t n = unpack_enter(u);

    if (n > LIMIT_ARTIFACTS)
        unpack_fail(u, "more artifacts than the limit");
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        struct job_artifact *a = job_spec_add_artifact(spec);

        unpack_enter(u);
        a->source = unpack_owned(u, LIMIT_SOURCE_BYTES);
        a->sha256 = unpack_owned(u, LIMIT_SOURCE_BYTES);
        a->path = unpack_owned(u, LIMIT_SOURCE_BYTES);
        a->unpack = unpack_bool(u);
        a->executable = unpack_bool(u);
        a->max_bytes = unpack_uint(u);
        a->timeout_ms = unpack_uint(u);
        unpack_leave_known(u);
    }
    unpack_leave_known(u);
}

static void unpack_volumes(struct job_spec *spec, struct unpack *u)
{
    uint32_t n = unpack_enter(u);

    if (n > LIMIT_VOLUMES)
        unpack_fail(u, "more volumes than the limit");
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        struct job_volume *v = job_spec_add_volume(spec);

        unpack_enter(u);
        v->source = unpack_owned(u, LIMIT_SOURCE_BYTES);
        v->target = unpack_owned(u, LIMIT_SOURCE_BYTES);
        v->read_only = unpack_bool(u);
        unpack_leave_known(u);
    }
    unpack_leave_known(u);
}

static void unpack_retry(struct job_retry *r, struct unpack *u)
{
    unpack_enter(u);
    r->attempts = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    r->interval_ms = unpack_uint(u);
    r->delay_ms = unpack_uint(u);
    r->max_delay_ms = unpack_uint(u);
    unpack_leave_known(u);
}

static void unpack_checks(struct job_spec *spec, struct unpack *u)
{
    uint32_t n = unpack_enter(u);

    if (n > LIMIT_CHECKS)
        unpack_fail(u, "more checks than the limit");
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        struct job_check *c = job_spec_add_check(spec);

        unpack_enter(u);
        c->role = (enum check_role)unpack_uint_max(u, CHECK_READINESS);
        c->kind = (enum check_kind)unpack_uint_max(u, CHECK_TCP);
        unpack_strings(u, &c->argv, &c->argc);
        c->path = unpack_owned(u, LIMIT_SOURCE_BYTES);
        c->port = (uint16_t)unpack_uint_max(u, UINT16_MAX);
        c->port_index = (uint32_t)unpack_uint_max(u, UINT32_MAX);
        c->interval_ms = unpack_uint(u);
        c->timeout_ms = unpack_uint(u);
        c->start_delay_ms = unpack_uint(u);
        c->failures = (uint32_t)unpack_uint_max(u, UINT32_MAX);
        unpack_leave_known(u);
    }
    unpack_leave_known(u);
}

static void unpack_lease(struct job_spec *spec, struct unpack *u)
{
    unpack_enter(u);
    spec->lease_ms = unpack_uint(u);
    spec->drift_permille = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    spec->lease_grace_ms = unpack_uint(u);
    unpack_leave_known(u);
}

static void unpack_after(struct job_spec *spec, struct unpack *u)
{
    uint32_t n = unpack_enter(u);

    if (n > LIMIT_AFTER)
        unpack_fail(u, "it waits for more jobs than the limit");
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        struct job_after after;

        unpack_enter(u);
        after.job = unpack_int(u);
        after.on = (enum job_on)unpack_uint_max(u, JOB_ON_COUNT - 1);
        unpack_leave_known(u);
        job_spec_add_after(spec, after);
    }
    unpack_leave_known(u);
}

static void unpack_schedule(struct job_spec *spec, struct unpack *u)
{
    unpack_enter(u);
    spec->schedule.cron = unpack_owned(u, LIMIT_CRON_BYTES);
    spec->schedule.timezone = unpack_owned(u, LIMIT_ZONE_BYTES);
    spec->schedule.missed = (enum job_missed)unpack_uint_max(u, JOB_MISSED_COUNT - 1);
    spec->schedule.overlap =
        (enum job_overlap)unpack_uint_max(u, JOB_OVERLAP_COUNT - 1);
    unpack_leave_known(u);
}

static void unpack_parameters(struct job_spec *spec, struct unpack *u)
{
    uint32_t n = unpack_enter(u);

    if (n > LIMIT_PARAMETERS)
        unpack_fail(u, "more parameters than the limit");
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        uint32_t fields = unpack_enter(u);
        char *name = text_copy(unpack_text(u, LIMIT_NAME_BYTES));
        struct bytes value = {0};
        char *text = NULL;

        if (fields > 1) {
            value = unpack_bytes(u, LIMIT_ARGV_ENV_BYTES);
            if (value.size > 0 && memchr(value.data, '\0', value.size) != NULL)
                unpack_fail(u, "a value has a zero byte inside");
            text = text_copy(value);
        }
        unpack_leave_known(u);
        job_spec_add_parameter(spec, name, text);
        mem_free(name);
        mem_free(text);
    }
    unpack_leave_known(u);
}

static void unpack_scheduling(struct job_spec *spec, struct unpack *u)
{
    unpack_enter(u);
    spec->role = unpack_owned(u, LIMIT_ROLE_BYTES);
    spec->estimate_ms = unpack_uint(u);
    spec->kind = (enum job_kind)unpack_uint_max(u, JOB_KIND_COUNT - 1);
    unpack_after(spec, u);
    unpack_schedule(spec, u);
    unpack_parameters(spec, u);
    match_unpack(&spec->match, u);
    spec->gang = unpack_bool(u);
    unpack_leave_known(u);
}

static void unpack_fields(struct job_spec *spec, struct unpack *u)
{
    spec->name = text_copy(unpack_text(u, LIMIT_NAME_BYTES));
    spec->instances = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    spec->priority = (int32_t)unpack_int_range(u, INT32_MIN, INT32_MAX);
    resources_unpack(&spec->resources, u);
    spec->kill_grace_ms = unpack_uint(u);
    unpack_strings(u, &spec->argv, &spec->argc);
    unpack_strings(u, &spec->env, &spec->env_count);
    unpack_image(spec, u);
    spec->user = unpack_owned(u, LIMIT_SOURCE_BYTES);
    unpack_ports(spec, u);
    custom_resources_unpack(&spec->custom, u);
    spec->cpu_hard = unpack_bool(u);
    unpack_artifacts(spec, u);
    unpack_volumes(spec, u);
    spec->max_runtime_ms = unpack_uint(u);
    unpack_retry(&spec->restart, u);
    unpack_retry(&spec->reschedule, u);
    unpack_checks(spec, u);
    spec->stop_after_ms = unpack_uint(u);
    unpack_lease(spec, u);
    unpack_scheduling(spec, u);
}

int job_spec_unpack(struct job_spec *spec, struct bytes bytes, struct error *err)
{
    struct unpack u;
    int rc;

    *spec = (struct job_spec){0};
    if (bytes.size > LIMIT_SPEC_BYTES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "job spec: %zu bytes; the most is %lu",
                         bytes.size,
                         LIMIT_SPEC_BYTES);
    unpack_init(&u, bytes);
    unpack_enter(&u);
    unpack_fields(spec, &u);
    unpack_leave_known(&u);
    rc = unpack_finish(&u, "job spec", err);
    if (rc == 0)
        rc = job_spec_check(spec, err);
    if (rc != 0)
        job_spec_finish(spec);
    return rc;
}

void texts_pack(const char *const *texts, size_t count, struct buffer *out)
{
    pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        pack_bytes(out, text_view(texts[i]));
}

char **texts_unpack(struct bytes packed, size_t *count)
{
    char **texts = NULL;
    struct unpack u;

    *count = 0;
    unpack_init(&u, packed);
    unpack_strings(&u, &texts, count);
    if (unpack_finish(&u, "values", NULL) != 0) {
        texts_free(texts, *count);
        return NULL;
    }
    return texts != NULL ? texts : mem_zalloc(sizeof(*texts));
}

void texts_free(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(texts[i]);
    mem_free(texts);
}

void job_specs_pack(const struct job_spec *specs, size_t count, struct buffer *out)
{
    struct buffer one = {0};

    pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        buffer_clear(&one);
        job_spec_pack(&specs[i], &one);
        pack_bytes(out, buffer_view(&one));
    }
    buffer_finish(&one);
}

void job_specs_open(struct job_specs_reader *r, struct bytes packed)
{
    unpack_init(&r->u, packed);
    r->left = unpack_enter(&r->u);
}

struct bytes job_specs_next(struct job_specs_reader *r)
{
    struct bytes spec;

    if (r->left == 0)
        return (struct bytes){0};
    r->left--;
    spec = unpack_bytes(&r->u, LIMIT_SPEC_BYTES);
    return unpack_ok(&r->u) ? spec : (struct bytes){0};
}

struct bytes job_spec_name(struct bytes bytes)
{
    struct unpack u;

    unpack_init(&u, bytes);
    unpack_enter(&u);
    return unpack_text(&u, LIMIT_NAME_BYTES);
}

/* *u stands at one of the fields of masters; false when the bytes do not have it. */
static bool find_scheduling(struct unpack *u, struct bytes bytes, uint32_t field)
{
    unpack_init(u, bytes);
    if (unpack_enter(u) <= FIELDS_OF_AGENTS)
        return false;
    for (uint32_t i = 0; i < FIELDS_OF_AGENTS; i++)
        unpack_skip(u);
    if (unpack_enter(u) <= field)
        return false;
    for (uint32_t i = 0; i < field; i++)
        unpack_skip(u);
    return unpack_ok(u);
}

struct bytes job_spec_match(struct bytes bytes)
{
    struct bytes none = {0};
    struct unpack u;

    if (!find_scheduling(&u, bytes, SCHEDULING_OF_MATCH))
        return none;
    return unpack_array_view(&u);
}

bool job_spec_gang(struct bytes bytes)
{
    struct unpack u;

    return find_scheduling(&u, bytes, SCHEDULING_OF_GANG) && unpack_bool(&u);
}
