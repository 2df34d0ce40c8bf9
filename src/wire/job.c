/* job.c - job specs: making and freeing them.  Their rules are in job_check.c, their bytes in
 * job_pack.c.
 *
 * Variables are kept in order of their names, so that equal jobs have equal bytes
 * however they were typed. */
#include "wire/job_private.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/pack.h"
#include "wire/role.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void job_spec_init(struct job_spec *spec)
{
    *spec = (struct job_spec){
        .instances = 1,
        .kill_grace_ms = JOB_KILL_GRACE_MS,
        .resources.amount =
            {
                [RESOURCE_CPUS] = JOB_CPUS_DEFAULT_MILLI,
                [RESOURCE_MEM] = JOB_MEM_DEFAULT_BYTES,
                [RESOURCE_DISK] = JOB_DISK_DEFAULT_BYTES,
            },
    };
}

static void free_strings(char **strings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(strings[i]);
    mem_free(strings);
}

static void free_artifacts(struct job_spec *spec)
{
    for (size_t i = 0; i < spec->artifact_count; i++) {
        mem_free(spec->artifacts[i].source);
        mem_free(spec->artifacts[i].sha256);
        mem_free(spec->artifacts[i].path);
    }
    mem_free(spec->artifacts);
}

static void free_volumes(struct job_spec *spec)
{
    for (size_t i = 0; i < spec->volume_count; i++) {
        mem_free(spec->volumes[i].source);
        mem_free(spec->volumes[i].target);
    }
    mem_free(spec->volumes);
}

static void free_parameters(struct job_spec *spec)
{
    for (size_t i = 0; i < spec->parameter_count; i++) {
        mem_free(spec->parameters[i].name);
        mem_free(spec->parameters[i].value);
    }
    mem_free(spec->parameters);
    spec->parameters = NULL;
    spec->parameter_count = 0;
}

static void free_checks(struct job_spec *spec)
{
    for (size_t i = 0; i < spec->check_count; i++) {
        free_strings(spec->checks[i].argv, spec->checks[i].argc);
        mem_free(spec->checks[i].path);
    }
    mem_free(spec->checks);
}

void job_spec_finish(struct job_spec *spec)
{
    mem_free(spec->name);
    free_strings(spec->argv, spec->argc);
    free_strings(spec->env, spec->env_count);
    mem_free(spec->image.source);
    mem_free(spec->image.sha256);
    mem_free(spec->user);
    mem_free(spec->role);
    mem_free(spec->after);
    mem_free(spec->schedule.cron);
    mem_free(spec->schedule.timezone);
    custom_resources_finish(&spec->custom);
    free_artifacts(spec);
    free_volumes(spec);
    free_checks(spec);
    free_parameters(spec);
    match_finish(&spec->match);
    *spec = (struct job_spec){0};
}

void job_spec_set_role(struct job_spec *spec, const char *role)
{
    mem_free(spec->role);
    spec->role =
        role == NULL || strcmp(role, ROLE_DEFAULT) == 0 ? NULL : mem_strdup(role);
}

void job_spec_set_timezone(struct job_spec *spec, const char *name)
{
    mem_free(spec->schedule.timezone);
    spec->schedule.timezone =
        name == NULL || strcmp(name, "UTC") == 0 ? NULL : mem_strdup(name);
}

/* One agent that is lost should not take all of it. */
static void spread_over_agents(struct match *m)
{
    struct spread *s = match_add_spread(m);

    s->attribute = mem_strdup("agent");
    s->weight = MATCH_WEIGHT;
}

void job_spec_complete(struct job_spec *spec)
{
    if (job_goes_on(spec->kind) && spec->reschedule.attempts == 0)
        spec->reschedule = (struct job_retry){JOB_UNLIMITED,
                                              JOB_RETRY_INTERVAL_MS,
                                              JOB_RETRY_DELAY_MS,
                                              JOB_RETRY_MAX_DELAY_MS};
    if (spec->kind == JOB_SERVICE && spec->instances > 1 &&
        spec->instances <= LIMIT_DISTINCT_TASKS && spec->match.spread_count == 0)
        spread_over_agents(&spec->match);
}

/* ---- words ---- */

static const char *const KIND_NAMES[JOB_KIND_COUNT] = {
#define X(name, text) [name] = (text),
    JOB_KINDS(X)
#undef X
};

static const char *const ON_NAMES[JOB_ON_COUNT] = {
#define X(name, text) [name] = (text),
    JOB_ENDS(X)
#undef X
};

static const char *const MISSED_NAMES[JOB_MISSED_COUNT] = {
#define X(name, text) [name] = (text),
    JOB_MISSED(X)
#undef X
};

static const char *const OVERLAP_NAMES[JOB_OVERLAP_COUNT] = {
#define X(name, text) [name] = (text),
    JOB_OVERLAPS(X)
#undef X
};

/* The number of a name, or `count`. */
static unsigned number_of(const char *const *names, unsigned count, const char *name)
{
    unsigned i = 0;

    while (i < count && strcmp(names[i], name) != 0)
        i++;
    return i;
}

const char *job_kind_name(enum job_kind kind)
{
    return kind < JOB_KIND_COUNT ? KIND_NAMES[kind] : "unknown";
}

const char *job_on_name(enum job_on on)
{
    return ON_NAMES[on];
}

bool job_kind_of(enum job_kind *kind, const char *name)
{
    unsigned i = number_of(KIND_NAMES, JOB_KIND_COUNT, name);

    *kind = i < JOB_KIND_COUNT ? (enum job_kind)i : JOB_BATCH;
    return i < JOB_KIND_COUNT;
}

bool job_on_of(enum job_on *on, const char *name)
{
    unsigned i = number_of(ON_NAMES, JOB_ON_COUNT, name);

    *on = i < JOB_ON_COUNT ? (enum job_on)i : JOB_ON_SUCCESS;
    return i < JOB_ON_COUNT;
}

const char *job_missed_name(enum job_missed missed)
{
    return MISSED_NAMES[missed];
}

const char *job_overlap_name(enum job_overlap overlap)
{
    return OVERLAP_NAMES[overlap];
}

bool job_missed_of(enum job_missed *missed, const char *name)
{
    unsigned i = number_of(MISSED_NAMES, JOB_MISSED_COUNT, name);

    *missed = i < JOB_MISSED_COUNT ? (enum job_missed)i : MISSED_RUN_LAST;
    return i < JOB_MISSED_COUNT;
}

bool job_overlap_of(enum job_overlap *overlap, const char *name)
{
    unsigned i = number_of(OVERLAP_NAMES, JOB_OVERLAP_COUNT, name);

    *overlap = i < JOB_OVERLAP_COUNT ? (enum job_overlap)i : OVERLAP_ALLOW;
    return i < JOB_OVERLAP_COUNT;
}

/* ---- templates ---- */

void job_spec_at_slot(struct job_spec *spec, uint64_t slot_us)
{
    char time[TEXT_TIME_MAX], entry[sizeof(JOB_ENV_SLOT) + TEXT_TIME_MAX];
    bool given = false;

    mem_free(spec->schedule.cron);
    mem_free(spec->schedule.timezone);
    spec->schedule = (struct job_schedule){0};
    for (size_t i = 0; i < spec->env_count; i++)
        given |= strncmp(spec->env[i], JOB_ENV_SLOT "=", sizeof(JOB_ENV_SLOT)) == 0;
    text_time(time, slot_us);
    snprintf(entry, sizeof(entry), JOB_ENV_SLOT "=%.19sZ", time); /* whole seconds */
    if (!given)
        job_spec_add_env(spec, entry);
}

static const char *value_of(const char *const *values, size_t count, const char *name)
{
    size_t size = strlen(name);

    for (size_t i = 0; i < count; i++)
        if (strncmp(values[i], name, size) == 0 && values[i][size] == '=')
            return values[i] + size + 1;
    return NULL;
}

/* Each value is of a parameter, and each parameter has one at most. */
static int check_values(const struct job_spec *spec,
                        const char *const *values,
                        size_t count,
                        struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = strcspn(values[i], "="), k = 0;

        while (k < spec->parameter_count &&
               (strlen(spec->parameters[k].name) != size ||
                strncmp(spec->parameters[k].name, values[i], size) != 0))
            k++;
        if (values[i][size] == '\0' || k == spec->parameter_count)
            return error_set(err,
                             ERROR_INVALID,
                             "'%.40s' is no parameter of the job; give NAME=VALUE",
                             values[i]);
        if (value_of(values, i, spec->parameters[k].name) != NULL)
            return error_set(err,
                             ERROR_INVALID,
                             "%s: it is there twice; give one value",
                             spec->parameters[k].name);
    }
    return 0;
}

int job_spec_with(struct job_spec *spec,
                  const char *const *values,
                  size_t count,
                  struct error *err)
{
    struct buffer entry = {0};
    int rc = check_values(spec, values, count, err);

    for (size_t i = 0; rc == 0 && i < spec->parameter_count; i++) {
        const struct job_parameter *p = &spec->parameters[i];
        const char *value = value_of(values, count, p->name);

        if (value == NULL)
            value = p->value;
        if (value == NULL) {
            rc = error_set(err,
                           ERROR_INVALID,
                           "%s: the job needs it; give %s=VALUE",
                           p->name,
                           p->name);
            break;
        }
        buffer_clear(&entry);
        buffer_printf(&entry, "%s=%s", p->name, value);
        job_spec_add_env(spec, (const char *)entry.data);
    }
    buffer_finish(&entry);
    if (rc != 0)
        return rc;
    free_parameters(spec);
    return job_spec_check(spec, err);
}

/* ---- lists ---- */

/* To its place among those before it. */
static void sort_in(struct job_spec *spec, size_t i)
{
    struct job_after after = spec->after[i];

    for (; i > 0 && spec->after[i - 1].job > after.job; i--)
        spec->after[i] = spec->after[i - 1];
    spec->after[i] = after;
}

void job_spec_add_after(struct job_spec *spec, struct job_after after)
{
    spec->after =
        mem_realloc(spec->after, (spec->after_count + 1) * sizeof(*spec->after));
    spec->after[spec->after_count] = after;
    sort_in(spec, spec->after_count++);
}

void job_spec_add_parameter(struct job_spec *spec, const char *name, const char *value)
{
    size_t i = spec->parameter_count++;
    struct job_parameter p = {mem_strdup(name),
                              value == NULL ? NULL : mem_strdup(value)};

    spec->parameters = mem_realloc(spec->parameters,
                                   spec->parameter_count * sizeof(*spec->parameters));
    for (; i > 0 && strcmp(spec->parameters[i - 1].name, name) > 0; i--)
        spec->parameters[i] = spec->parameters[i - 1];
    spec->parameters[i] = p;
}

void job_spec_sort_after(struct job_spec *spec)
{
    for (size_t i = 1; i < spec->after_count; i++)
        sort_in(spec, i);
}

/* Room doubles: the list is full whenever its strings and the NULL are a power of two. */
void job_append_string(char ***strings, size_t *count, char *owned)
{
    size_t used = *count + 1;

    if (*strings == NULL)
        *strings = mem_alloc(2 * sizeof(char *));
    else if ((used & (used - 1)) == 0)
        *strings = mem_realloc(*strings, 2 * used * sizeof(char *));
    (*strings)[(*count)++] = owned;
    (*strings)[*count] = NULL;
}

void job_spec_add_arg(struct job_spec *spec, const char *arg)
{
    job_append_string(&spec->argv, &spec->argc, mem_strdup(arg));
}

int job_compare_env(const char *a, const char *b)
{
    size_t size_a = strcspn(a, "="), size_b = strcspn(b, "=");
    int order = memcmp(a, b, size_a < size_b ? size_a : size_b);

    if (order != 0 || size_a == size_b)
        return order;
    return size_a < size_b ? -1 : 1;
}

void job_spec_add_env(struct job_spec *spec, const char *name_value)
{
    char *owned = mem_strdup(name_value);
    size_t i;

    job_append_string(&spec->env, &spec->env_count, owned);
    for (i = spec->env_count - 1; i > 0; i--) {
        if (job_compare_env(spec->env[i - 1], owned) <= 0)
            break;
        spec->env[i] = spec->env[i - 1];
    }
    spec->env[i] = owned;
}

bool job_env_is_reserved(const char *name_value)
{
    return strncmp(name_value, JOB_ENV_PREFIX, strlen(JOB_ENV_PREFIX)) == 0;
}

struct job_artifact *job_spec_add_artifact(struct job_spec *spec)
{
    struct job_artifact *a;

    spec->artifacts = mem_realloc(
        spec->artifacts, (spec->artifact_count + 1) * sizeof(*spec->artifacts));
    a = &spec->artifacts[spec->artifact_count++];
    *a = (struct job_artifact){0};
    return a;
}

struct job_volume *job_spec_add_volume(struct job_spec *spec)
{
    struct job_volume *v;

    spec->volumes =
        mem_realloc(spec->volumes, (spec->volume_count + 1) * sizeof(*spec->volumes));
    v = &spec->volumes[spec->volume_count++];
    *v = (struct job_volume){0};
    return v;
}

struct job_check *job_spec_add_check(struct job_spec *spec)
{
    struct job_check *c;

    spec->checks =
        mem_realloc(spec->checks, (spec->check_count + 1) * sizeof(*spec->checks));
    c = &spec->checks[spec->check_count++];
    *c = (struct job_check){0};
    return c;
}

void job_check_add_arg(struct job_check *check, const char *arg)
{
    job_append_string(&check->argv, &check->argc, mem_strdup(arg));
}

uint32_t job_port_count(const struct job_spec *spec)
{
    return spec->ports.count +
           port_ranges_size(spec->ports.fixed, spec->ports.fixed_count);
}
