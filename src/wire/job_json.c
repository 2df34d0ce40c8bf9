/* job_json.c - a job spec as a job file's JSON. */
#include "wire/job_json.h"

#include "base/mem.h"
#include "base/text.h"
#include "wire/json.h"

#include <stdio.h>
#include <string.h>

/* ---- values ---- */

/* A script keeps its newlines. */
static json_t *text(const char *value)
{
    json_t *s = json_string(value);
    char *clean;

    if (s != NULL)
        return s;
    clean = text_clean(text_view(value));
    s = json_string(clean);
    mem_free(clean);
    return s;
}

static void put_text(json_t *o, const char *name, const char *value)
{
    if (value != NULL)
        json_object_set_new(o, name, text(value));
}

static void put_number(json_t *o, const char *name, uint64_t value)
{
    json_object_set_new(o, name, json_integer((json_int_t)value));
}

static void put_flag(json_t *o, const char *name, bool value)
{
    if (value)
        json_object_set_new(o, name, json_true());
}

static void put_time(json_t *o, const char *name, uint64_t ms)
{
    char words[32];

    snprintf(words,
             sizeof(words),
             "%llu%s",
             (unsigned long long)(ms % 1000 == 0 ? ms / 1000 : ms),
             ms % 1000 == 0 ? "s" : "ms");
    json_object_set_new(o, name, json_string(words));
}

/* As it would be run again: /bin/sh -c TEXT is a command, which no file gives empty. */
static void put_command(json_t *o, char *const *argv, size_t argc)
{
    json_t *list;

    if (argc == 3 && strcmp(argv[0], "/bin/sh") == 0 && strcmp(argv[1], "-c") == 0 &&
        argv[2][0] != '\0') {
        put_text(o, "command", argv[2]);
        return;
    }
    list = json_array();
    for (size_t i = 0; i < argc; i++)
        json_array_append_new(list, text(argv[i]));
    json_object_set_new(o, "argv", list);
}

/* ---- parts ---- */

static void put_env(json_t *o, const struct job_spec *spec)
{
    json_t *env = json_object();

    for (size_t i = 0; i < spec->env_count; i++) {
        const char *entry = spec->env[i], *value = strchr(entry, '=');
        char *name =
            text_copy((struct bytes){(const uint8_t *)entry, (size_t)(value - entry)});

        put_text(env, name, value + 1);
        mem_free(name);
    }
    json_object_set_new(o, "env", env);
}

static json_t *ports(const struct job_ports *p)
{
    json_t *o = json_object(), *list = json_array();

    if (p->count > 0)
        put_number(o, "count", p->count);
    for (size_t i = 0; i < p->fixed_count; i++) {
        char range[32];

        snprintf(range, sizeof(range), "%u-%u", p->fixed[i].first, p->fixed[i].last);
        if (p->fixed[i].first == p->fixed[i].last)
            json_array_append_new(list, json_integer(p->fixed[i].first));
        else
            json_array_append_new(list, json_string(range));
    }
    if (p->fixed_count > 0)
        json_object_set(o, "fixed", list);
    json_decref(list);
    return o;
}

static json_t *resources(const struct job_spec *spec)
{
    json_t *o = json_resources(&spec->resources), *custom = json_object();

    for (size_t i = 0; i < spec->custom.count; i++)
        json_object_set_new(custom,
                            spec->custom.items[i].name,
                            json_thousandths(spec->custom.items[i].amount));
    if (spec->custom.count > 0)
        json_object_set(o, "custom", custom);
    json_decref(custom);
    if (spec->cpu_hard)
        put_text(o, "cpu_limit", "hard");
    if (spec->ports.count > 0 || spec->ports.fixed_count > 0)
        json_object_set_new(o, "ports", ports(&spec->ports));
    return o;
}

static void put_image(json_t *o, const struct job_image *image)
{
    json_t *map;

    if (image->source == NULL)
        return;
    map = json_object();
    put_text(map, "source", image->source);
    put_text(map, "sha256", image->sha256);
    json_object_set_new(o, "image", map);
}

static json_t *artifacts(const struct job_spec *spec)
{
    json_t *list = json_array();

    for (size_t i = 0; i < spec->artifact_count; i++) {
        const struct job_artifact *a = &spec->artifacts[i];
        json_t *o = json_object();

        put_text(o, "source", a->source);
        put_text(o, "sha256", a->sha256);
        put_text(o, "path", a->path);
        put_flag(o, "unpack", a->unpack);
        put_flag(o, "executable", a->executable);
        json_object_set_new(o, "max_size", json_mib(a->max_bytes));
        put_time(o, "timeout", a->timeout_ms);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *volumes(const struct job_spec *spec)
{
    json_t *list = json_array();

    for (size_t i = 0; i < spec->volume_count; i++) {
        json_t *o = json_object();

        put_text(o, "source", spec->volumes[i].source);
        put_text(o, "target", spec->volumes[i].target);
        put_flag(o, "read_only", spec->volumes[i].read_only);
        json_array_append_new(list, o);
    }
    return list;
}

static void put_retry(json_t *o, const char *name, const struct job_retry *retry)
{
    json_t *map;

    if (retry->attempts == 0)
        return;
    map = json_object();
    if (retry->attempts == JOB_UNLIMITED)
        put_text(map, "attempts", "unlimited");
    else
        put_number(map, "attempts", retry->attempts);
    put_time(map, "interval", retry->interval_ms);
    put_time(map, "delay", retry->delay_ms);
    put_time(map, "max_delay", retry->max_delay_ms);
    json_object_set_new(o, name, map);
}

static json_t *check(const struct job_check *c)
{
    json_t *o = json_object();

    if (c->kind == CHECK_COMMAND)
        put_command(o, c->argv, c->argc);
    else if (c->kind == CHECK_HTTP)
        put_text(o, "http", c->path);
    else
        put_flag(o, "tcp", true);
    if (c->port != 0)
        put_number(o, "port", c->port);
    else if (c->kind != CHECK_COMMAND)
        put_number(o, "port_index", c->port_index);
    put_time(o, "interval", c->interval_ms);
    put_time(o, "timeout", c->timeout_ms);
    put_time(o, "start_delay", c->start_delay_ms);
    put_number(o, "failures", c->failures);
    return o;
}

static void put_checks(json_t *o,
                       const char *name,
                       const struct job_spec *spec,
                       enum check_role role)
{
    json_t *list = json_array();

    for (size_t i = 0; i < spec->check_count; i++)
        if (spec->checks[i].role == role)
            json_array_append_new(list, check(&spec->checks[i]));
    if (json_array_size(list) > 0)
        json_object_set(o, name, list);
    json_decref(list);
}

static void put_disconnect(json_t *o, const struct job_spec *spec)
{
    json_t *map = json_object();

    if (spec->lease_ms != 0) {
        put_time(map, "lease", spec->lease_ms);
        json_object_set_new(map, "drift", json_real(spec->drift_permille / 10.0));
        put_time(map, "grace", spec->lease_grace_ms);
        json_object_set(o, "exclusive", map);
    } else if (spec->stop_after_ms != 0) {
        put_time(map, "stop_after", spec->stop_after_ms);
        json_object_set(o, "on_disconnect", map);
    }
    json_decref(map);
}

static void put_after(json_t *o, const struct job_spec *spec)
{
    json_t *list = json_array();

    for (size_t i = 0; i < spec->after_count; i++) {
        json_t *map = json_object();

        json_object_set_new(map, "job", json_integer(spec->after[i].job));
        put_text(map, "on", job_on_name(spec->after[i].on));
        json_array_append_new(list, map);
    }
    json_object_set_new(o, "after", list);
}

static void put_schedule(json_t *o, const struct job_schedule *s)
{
    json_t *map = json_object();

    put_text(map, "cron", s->cron);
    put_text(map, "timezone", s->timezone);
    put_text(map, "missed", job_missed_name(s->missed));
    put_text(map, "overlap", job_overlap_name(s->overlap));
    json_object_set_new(o, "schedule", map);
}

static void put_parameters(json_t *o, const struct job_spec *spec)
{
    json_t *map = json_object(), *required = json_array(), *optional = json_object();

    for (size_t i = 0; i < spec->parameter_count; i++) {
        const struct job_parameter *p = &spec->parameters[i];

        if (p->value == NULL)
            json_array_append_new(required, text(p->name));
        else
            put_text(optional, p->name, p->value);
    }
    json_object_set_new(map, "required", required);
    json_object_set_new(map, "optional", optional);
    json_object_set_new(o, "parameters", map);
}

/* ---- which agents ---- */

static json_t *conditions(const struct condition *list, size_t count, bool has_weight)
{
    json_t *all = json_array();

    for (size_t i = 0; i < count; i++) {
        const struct condition *c = &list[i];
        json_t *o = json_object(), *values = json_array();

        put_text(o, "attribute", c->attribute);
        put_text(o, "op", match_op_name(c->op));
        for (size_t k = 0; k < c->count; k++)
            json_array_append_new(values, text(c->values[k]));
        if (c->op == MATCH_IN || c->op == MATCH_NOT_IN)
            json_object_set(o, "value", values);
        else if (c->op == MATCH_DISTINCT)
            put_number(o, "value", c->most);
        else if (c->count > 0)
            put_text(o, "value", c->values[0]);
        json_decref(values);
        if (has_weight)
            json_object_set_new(o, "weight", json_integer(c->weight));
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *spreads(const struct match *m)
{
    json_t *all = json_array();

    for (size_t i = 0; i < m->spread_count; i++) {
        json_t *o = json_object();

        put_text(o, "attribute", m->spreads[i].attribute);
        put_number(o, "weight", m->spreads[i].weight);
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *aparts(const struct match *m)
{
    json_t *all = json_array();

    for (size_t i = 0; i < m->apart_count; i++) {
        json_t *o = json_object();

        put_text(o, "job", m->aparts[i].job);
        if (m->aparts[i].weight > 0)
            put_number(o, "weight", m->aparts[i].weight);
        json_array_append_new(all, o);
    }
    return all;
}

static void put_match(json_t *o, const struct match *m)
{
    if (m->constraint_count > 0)
        json_object_set_new(
            o, "constraints", conditions(m->constraints, m->constraint_count, false));
    if (m->affinity_count > 0)
        json_object_set_new(
            o, "affinities", conditions(m->affinities, m->affinity_count, true));
    if (m->spread_count > 0)
        json_object_set_new(o, "spread", spreads(m));
    if (m->apart_count > 0)
        json_object_set_new(o, "anti_affinity", aparts(m));
}

/* ---- the job ---- */

json_t *job_spec_to_json(const struct job_spec *spec)
{
    json_t *o = json_object();

    put_text(o, "name", spec->name);
    if (spec->kind != JOB_BATCH)
        put_text(o, "kind", job_kind_name(spec->kind));
    if (spec->kind != JOB_SYSTEM)
        put_number(o, "instances", spec->instances);
    if (spec->gang)
        json_object_set_new(o, "gang", json_true());
    json_object_set_new(o, "priority", json_integer(spec->priority));
    put_text(o, "role", spec->role);
    if (spec->estimate_ms > 0)
        put_time(o, "estimate", spec->estimate_ms);
    if (spec->after_count > 0)
        put_after(o, spec);
    if (spec->schedule.cron != NULL)
        put_schedule(o, &spec->schedule);
    if (spec->parameter_count > 0)
        put_parameters(o, spec);
    put_command(o, spec->argv, spec->argc);
    if (spec->env_count > 0)
        put_env(o, spec);
    json_object_set_new(o, "resources", resources(spec));
    put_time(o, "kill_grace", spec->kill_grace_ms);
    put_image(o, &spec->image);
    put_text(o, "user", spec->user);
    if (spec->artifact_count > 0)
        json_object_set_new(o, "artifacts", artifacts(spec));
    if (spec->volume_count > 0)
        json_object_set_new(o, "volumes", volumes(spec));
    if (spec->max_runtime_ms > 0)
        put_time(o, "max_runtime", spec->max_runtime_ms);
    put_retry(o, "restart", &spec->restart);
    put_retry(o, "reschedule", &spec->reschedule);
    put_checks(o, "health", spec, CHECK_HEALTH);
    put_checks(o, "readiness", spec, CHECK_READINESS);
    put_disconnect(o, spec);
    put_match(o, &spec->match);
    return o;
}
