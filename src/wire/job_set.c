/* job_set.c - job files of one job, or of several that wait for each other.
 *
 * Jobs are read in the order of the file, with positions in it.  Then a search in depth, which
 * visits what a job waits for before the job, gives the order of submission; one that comes
 * back to a job it is still below has found a cycle, and the way there is its path. */
#include "wire/job_set.h"

#include "base/limits.h"
#include "base/mem.h"
#include "wire/job_file.h"
#include "wire/job_read.h"

#include <string.h>

void job_set_finish(struct job_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        job_spec_finish(&set->specs[i]);
    mem_free(set->specs);
    mem_free(set->place);
    *set = (struct job_set){0};
}

/* ---- reading ---- */

/* What others of the file may call this one; a job without a name is refused when it is read. */
static const char *name_in(const json_t *job)
{
    return json_string_value(json_object_get(job, "name"));
}

static int check_names(struct job_reader *r, const struct job_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        for (size_t k = 0; k < i && names->of[i] != NULL; k++) {
            if (names->of[k] == NULL || strcmp(names->of[k], names->of[i]) != 0)
                continue;
            field_path_enter_element(&r->path, i);
            field_path_enter_key(&r->path, "name");
            return error_set(r->err,
                             ERROR_INVALID,
                             "%s: '%.40s' is there twice; give each job a name of its "
                             "own",
                             r->path.text,
                             names->of[i]);
        }
    return 0;
}

static int read_jobs(struct job_set *set, struct job_reader *r, const json_t *list)
{
    struct job_names names = {mem_zalloc(json_array_size(list) * sizeof(char *)),
                              json_array_size(list)};
    int rc;

    for (size_t i = 0; i < names.count; i++)
        names.of[i] = name_in(json_array_get(list, i));
    rc = check_names(r, &names);
    r->names = &names;
    set->specs = mem_zalloc(names.count * sizeof(*set->specs));
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        size_t before = field_path_enter_element(&r->path, i);

        r->spec = &set->specs[i];
        rc = job_read_job(r, json_array_get(list, i));
        if (rc != 0)
            break;
        set->count++;
        field_path_leave(&r->path, before);
    }
    mem_free(names.of);
    return rc;
}

/* ---- the order ---- */

enum visit { NEW, BELOW, DONE };

struct sorting {
    const struct job_spec *specs;
    uint8_t *visits;  /* enum visit of each */
    uint32_t *path;   /* the jobs that the search is below */
    size_t *next;     /* of each: what it waits for from there on is to be visited */
    uint32_t *sorted; /* done, in this order */
    size_t depth, done;
};

/* The place is where the job that came last waits for `job`. */
static int tell_cycle(const struct sorting *s, uint32_t job, struct job_reader *r)
{
    struct buffer names = {0};
    size_t first = s->depth - 1;
    int rc;

    while (s->path[first] != job)
        first--;
    field_path_enter_element(&r->path, s->path[s->depth - 1]);
    field_path_enter_key(&r->path, "after");
    /* From what is waited for to who waits: the other way than the search went. */
    for (size_t i = s->depth; i > first; i--)
        buffer_printf(&names, "%s, ", s->specs[s->path[i - 1]].name);
    rc = error_set(r->err,
                   ERROR_INVALID,
                   "%s: a cycle: %s%s; each waits for the one before it, so none can "
                   "begin",
                   r->path.text,
                   (const char *)names.data,
                   s->specs[s->path[s->depth - 1]].name);
    buffer_finish(&names);
    return rc;
}

static void push(struct sorting *s, uint32_t job)
{
    s->visits[job] = BELOW;
    s->path[s->depth++] = job;
}

/* Everything that this job waits for, then the job. */
static int visit(struct sorting *s, uint32_t root, struct job_reader *r)
{
    push(s, root);
    while (s->depth > 0) {
        uint32_t job = s->path[s->depth - 1];
        const struct job_spec *spec = &s->specs[job];
        const struct job_after *after;

        if (s->next[job] == spec->after_count) {
            s->visits[job] = DONE;
            s->sorted[s->done++] = job;
            s->depth--;
            continue;
        }
        after = &spec->after[s->next[job]++];
        if (after->job > 0)
            continue;
        if (s->visits[-1 - after->job] == BELOW)
            return tell_cycle(s, (uint32_t)(-1 - after->job), r);
        if (s->visits[-1 - after->job] == NEW)
            push(s, (uint32_t)(-1 - after->job));
    }
    return 0;
}

/* Positions in the file become positions in the submission. */
static void rename_after(struct job_spec *spec, const uint32_t *position)
{
    for (size_t i = 0; i < spec->after_count; i++)
        if (spec->after[i].job < 0)
            spec->after[i].job = -1 - (int64_t)position[-1 - spec->after[i].job];
    job_spec_sort_after(spec);
}

static void put_in_order(struct job_set *set, const uint32_t *sorted)
{
    struct job_spec *specs = mem_alloc(set->count * sizeof(*specs));
    uint32_t *position = mem_alloc(set->count * sizeof(*position));

    set->place = mem_dup(sorted, set->count * sizeof(*sorted));
    for (uint32_t i = 0; i < set->count; i++)
        position[sorted[i]] = i;
    for (size_t i = 0; i < set->count; i++) {
        specs[i] = set->specs[sorted[i]];
        rename_after(&specs[i], position);
    }
    mem_free(set->specs);
    mem_free(position);
    set->specs = specs;
}

static int sort(struct job_set *set, struct job_reader *r)
{
    struct sorting s = {
        .specs = set->specs,
        .visits = mem_zalloc(set->count),
        .path = mem_alloc(set->count * sizeof(*s.path)),
        .next = mem_zalloc(set->count * sizeof(*s.next)),
        .sorted = mem_alloc(set->count * sizeof(*s.sorted)),
    };
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < set->count; i++)
        if (s.visits[i] == NEW)
            rc = visit(&s, i, r);
    if (rc == 0)
        put_in_order(set, s.sorted);
    mem_free(s.visits);
    mem_free(s.path);
    mem_free(s.next);
    mem_free(s.sorted);
    return rc;
}

/* ---- files ---- */

static int read_list(struct job_set *set, struct job_reader *r, const json_t *value)
{
    const json_t *list = json_object_get(value, "jobs");
    size_t before = field_path_enter_key(&r->path, "jobs");
    int rc;

    set->is_list = true;
    if (!json_is_array(list))
        return job_wrong_type(r, list, "a list of jobs");
    if (json_object_size(value) > 1)
        return error_set(r->err,
                         ERROR_INVALID,
                         "jobs: there are fields beside it; put them into the jobs");
    if (json_array_size(list) == 0)
        return error_set(r->err, ERROR_INVALID, "jobs: it is empty; give a job");
    if (json_array_size(list) > LIMIT_SET_JOBS)
        return error_set(r->err,
                         ERROR_TOO_LARGE,
                         "jobs: %zu; the most in one file is %d",
                         json_array_size(list),
                         LIMIT_SET_JOBS);
    rc = read_jobs(set, r, list);
    if (rc != 0)
        return rc;
    rc = sort(set, r);
    if (rc == 0)
        field_path_leave(&r->path, before);
    return rc;
}

static int read_one(struct job_set *set, struct job_reader *r, const json_t *value)
{
    int rc;

    set->specs = mem_zalloc(sizeof(*set->specs));
    set->place = mem_zalloc(sizeof(*set->place));
    r->spec = set->specs;
    rc = job_read_job(r, value);
    set->count = rc == 0;
    return rc;
}

int job_set_parse(struct job_set *set,
                  const char *name,
                  struct bytes text,
                  struct error *err)
{
    struct error unused;
    struct job_reader r = {.err = err != NULL ? err : &unused};
    json_t *value = job_file_load(name, text, r.err);
    int rc;

    *set = (struct job_set){0};
    if (value == NULL)
        return -(int)r.err->code;
    if (json_object_get(value, "jobs") != NULL)
        rc = read_list(set, &r, value);
    else
        rc = read_one(set, &r, value);
    json_decref(value);
    if (rc == 0)
        return 0;
    job_set_finish(set);
    return job_file_locate(name, text, &r.path, r.err);
}
