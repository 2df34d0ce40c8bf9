/* submit.c - what `run` and `submit` have in common. */
#include "client/submit.h"

#include "base/entropy.h"
#include "base/mem.h"
#include "base/text.h"
#include "client/failures.h"
#include "client/job_wait.h"
#include "client/role_view.h"
#include "client/zone.h"
#include "wire/job_file.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_BYTES 16 /* random: two never meet */

static void random_key(char out[2 * KEY_BYTES + 1])
{
    uint8_t bytes[KEY_BYTES];

    entropy_fill(bytes, sizeof(bytes));
    for (size_t i = 0; i < KEY_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static int take_key(struct session *s, const char **key, char *drawn, struct error *err)
{
    *key = options_text(s->options, "key");
    if (*key == NULL) {
        random_key(drawn);
        *key = drawn;
        return 0;
    }
    if ((*key)[0] == '\0' || strlen(*key) > LIMIT_KEY_BYTES)
        return options_refuse(
            s->options, "key", err, "a key has 1 to %d bytes", LIMIT_KEY_BYTES);
    if (!text_is_printable(text_view(*key)))
        return options_refuse(
            s->options, "key", err, "a key is printable text in UTF-8");
    return 0;
}

const char *submit_user(char out[LIMIT_OWNER_BYTES + 1])
{
    const struct passwd *entry = getpwuid(getuid());

    if (entry != NULL && strlen(entry->pw_name) <= LIMIT_OWNER_BYTES &&
        text_is_printable(text_view(entry->pw_name)))
        snprintf(out, LIMIT_OWNER_BYTES + 1, "%s", entry->pw_name);
    else
        snprintf(out, LIMIT_OWNER_BYTES + 1, "%u", (unsigned)getuid());
    return out;
}

/* ---- job files ---- */

static int
read_all(FILE *file, const char *name, struct buffer *text, struct error *err)
{
    size_t got;

    do {
        got = fread(buffer_reserve(text, KIB), 1, KIB, file);
        text->size += got;
    } while (got > 0 && !feof(file) && /* a terminal has one end for each Ctrl-D */
             text->size <= LIMIT_JOB_FILE_BYTES); /* no more is read */
    if (ferror(file))
        return error_set(err, ERROR_IO, "read %s: %s", name, strerror(errno));
    if (text->size > LIMIT_JOB_FILE_BYTES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "%s: a job file has at most %lu KiB",
                         name,
                         LIMIT_JOB_FILE_BYTES / KIB);
    return 0;
}

static int read_file(const char *path, struct buffer *text, struct error *err)
{
    FILE *file;
    int rc;

    if (strcmp(path, "-") == 0)
        return read_all(stdin, "standard input", text, err);
    file = fopen(path, "re");
    if (file == NULL)
        return error_set(err, ERROR_IO, "open %s: %s", path, strerror(errno));
    rc = read_all(file, path, text, err);
    fclose(file);
    return rc;
}

static int check_zones(const struct job_set *set,
                       const char *name,
                       struct bytes text,
                       struct error *err)
{
    for (size_t i = 0; i < set->count; i++) {
        const char *zone = set->specs[i].schedule.timezone;
        struct field_path path = {0};

        if (zone == NULL || zone_check(zone, err) == 0)
            continue;
        if (set->is_list) {
            field_path_enter_key(&path, "jobs");
            field_path_enter_element(&path, set->place[i]);
        }
        field_path_enter_key(&path, "schedule");
        field_path_enter_key(&path, "timezone");
        error_wrap(err, "%s", path.text);
        return job_file_locate(name, text, &path, err);
    }
    return 0;
}

int submit_read(struct job_set *set, const char *path, struct error *err)
{
    struct buffer text = {0};
    int rc = read_file(path, &text, err);

    if (rc == 0)
        rc = job_set_parse(set, path, buffer_view(&text), err);
    if (rc == 0) {
        rc = check_zones(set, path, buffer_view(&text), err);
        if (rc != 0)
            job_set_finish(set);
    }
    buffer_finish(&text);
    return rc;
}

/* As masters take them. */
static int pack_set(const struct job_set *set, struct buffer *packed, struct error *err)
{
    if (set->is_list)
        job_specs_pack(set->specs, set->count, packed);
    else
        job_spec_pack(set->specs, packed);
    if (packed->size > LIMIT_SPEC_BYTES)
        return error_set(
            err,
            ERROR_TOO_LARGE,
            "jobs: %zu bytes together; the most is %lu: submit them in parts",
            packed->size,
            LIMIT_SPEC_BYTES);
    return 0;
}

int submit_check(const struct job_set *set, struct error *err)
{
    struct buffer packed = {0};
    int rc = pack_set(set, &packed, err);

    buffer_finish(&packed);
    return rc;
}

/* All of them or none; *job is the first. */
static int send_jobs(struct session *s,
                     const struct job_set *set,
                     const struct buffer *packed,
                     const char *key,
                     uint64_t check,
                     struct submit_result *job,
                     struct error *err)
{
    char user[LIMIT_OWNER_BYTES + 1];
    struct submit_request request = {.key = text_view(key),
                                     .spec = buffer_view(packed),
                                     .owner = text_view(submit_user(user)),
                                     .is_set = set->is_list,
                                     .check = check};
    struct buffer frame = {0}, result = {0};
    int rc;

    submit_pack(&request, 0, &frame);
    rc = session_call(s, buffer_view(&frame), CLIENT_LEADER, &result, NULL, err);
    if (rc == 0)
        rc = submit_result_unpack(job, buffer_view(&result), err);
    buffer_finish(&frame);
    buffer_finish(&result);
    return rc;
}

struct made {
    uint64_t id;
    const char *name; /* NULL: not known */
};

static void print_ids(struct session *s, const struct made *jobs, size_t count)
{
    struct buffer lines = {0};

    for (size_t i = 0; i < count; i++)
        buffer_printf(&lines, "%" PRIu64 "\n", jobs[i].id);
    screen_write(&s->out, &lines);
    buffer_finish(&lines);
}

static void
print_json(struct session *s, const struct made *jobs, size_t count, uint64_t index)
{
    json_t *o = json_object(), *list = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *job = json_object();

        json_object_set_new(job, "id", json_integer((json_int_t)jobs[i].id));
        json_object_set_new(job,
                            "name",
                            jobs[i].name == NULL ? json_null()
                                                 : json_string(jobs[i].name));
        json_array_append_new(list, job);
    }
    json_object_set_new(o, "index", json_integer((json_int_t)index));
    json_object_set_new(o, "jobs", list);
    session_write_json(s, o);
}

static void
print_made(struct session *s, const struct made *jobs, size_t count, uint64_t index)
{
    if (options_flag(s->options, "json"))
        print_json(s, jobs, count, index);
    else
        print_ids(s, jobs, count);
}

/* In the order of the file. */
static void print_set(struct session *s,
                      const struct job_set *set,
                      const struct submit_result *first)
{
    struct made *jobs = mem_alloc(set->count * sizeof(*jobs));

    for (size_t i = 0; i < set->count; i++)
        jobs[set->place[i]] = (struct made){first->id + i, set->specs[i].name};
    print_made(s, jobs, set->count, first->index);
    mem_free(jobs);
}

/* It never began, as its `after` asks: the others of the set ended so, and that is no
 * failure of this one. */
static bool is_left_out(const struct job_set *set, size_t i, const enum job_state *ends)
{
    for (size_t k = 0; k < set->specs[i].after_count; k++) {
        struct job_after after = set->specs[i].after[k];
        bool well;

        if (after.job > 0) /* none of the set */
            continue;
        well = ends[-1 - after.job] == JOB_COMPLETE;
        if (ends[i] == JOB_KILLED && after.on != JOB_ON_ANY &&
            well != (after.on == JOB_ON_SUCCESS))
            return true;
    }
    return false;
}

/* One after the other; the first that did not end well is the error, and others are told
 * of. */
static int wait_for_all(struct session *s,
                        const struct job_set *set,
                        uint64_t first,
                        struct error *err)
{
    enum job_state *ends = mem_alloc(set->count * sizeof(*ends));
    struct job_summary ended;
    struct error why;
    int worst = EXIT_SUCCESS;

    for (size_t i = 0; i < set->count; i++) {
        int rc = job_wait_end(s, first + i, true, &s->err, &ended, err);

        if (rc != 0) {
            worst = rc;
            break;
        }
        ends[i] = ended.state;
        if (ended.state == JOB_COMPLETE || is_left_out(set, i, ends))
            continue;
        if (worst != EXIT_SUCCESS) {
            failures_tell(s, &ended, &why);
            session_note(s, "%s", why.text);
        } else {
            worst = failures_tell(s, &ended, err);
        }
    }
    mem_free(ends);
    return worst;
}

/* What is a template ends when it is killed. */
static int check_wait(struct session *s, const struct job_set *set, struct error *err)
{
    for (size_t i = 0; options_flag(s->options, "wait") && i < set->count; i++)
        if (job_is_template(&set->specs[i]))
            return options_refuse(
                s->options,
                "wait",
                err,
                "'%.40s' does not end: jobs are made of it until it is killed; leave "
                "this option out",
                set->specs[i].name);
    return 0;
}

/* What one job names: its role, and the jobs that it waits for. */
static int find_named(struct session *s, const struct job_spec *spec, struct error *err)
{
    struct buffer page = {0};
    struct job_summary job;
    int rc = spec->role == NULL ? 0 : role_view_find(s, spec->role, err);

    if (rc != 0)
        return error_wrap(err, "role");
    for (size_t k = 0; rc == 0 && k < spec->after_count; k++)
        if (spec->after[k].job > 0)
            rc = session_job(s, (uint64_t)spec->after[k].job, &page, &job, err);
    buffer_finish(&page);
    return rc == 0 ? 0 : error_wrap(err, "after");
}

/* Masters only say that something which the jobs name is not there; here it is told what. */
int submit_tell_missing(struct session *s, const struct job_set *set, struct error *err)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct job_spec *spec = &set->specs[i];

        if (find_named(s, spec, err) == 0)
            continue;
        return set->is_list ? error_wrap(err, "job '%.40s'", spec->name)
                            : -(int)err->code;
    }
    return error_set(err,
                     ERROR_NOT_FOUND,
                     "the role, or a job that is waited for, was not there a moment "
                     "ago; repeat it");
}

int submit_set(struct session *s,
               const struct job_set *set,
               uint64_t check,
               struct error *err)
{
    char drawn[2 * KEY_BYTES + 1];
    struct buffer packed = {0};
    struct submit_result job;
    const char *key;
    int rc = take_key(s, &key, drawn, err);

    if (rc == 0)
        rc = check_wait(s, set, err);
    if (rc == 0)
        rc = pack_set(set, &packed, err);
    if (rc == 0)
        rc = session_open(s, err);
    if (rc == 0)
        rc = send_jobs(s, set, &packed, key, check, &job, err);
    if (rc == -(int)ERROR_NOT_FOUND)
        rc = submit_tell_missing(s, set, err);
    buffer_finish(&packed);
    if (rc != 0)
        return rc;
    print_set(s, set, &job);
    return options_flag(s->options, "wait") ? wait_for_all(s, set, job.id, err)
                                            : EXIT_SUCCESS;
}

static int send_dispatch(struct session *s,
                         const struct dispatch_request *request,
                         struct submit_result *job,
                         struct error *err)
{
    struct buffer frame = {0}, result = {0};
    int rc;

    dispatch_pack(request, 0, &frame);
    rc = session_call(s, buffer_view(&frame), CLIENT_LEADER, &result, NULL, err);
    if (rc == 0)
        rc = submit_result_unpack(job, buffer_view(&result), err);
    buffer_finish(&frame);
    buffer_finish(&result);
    return rc;
}

int submit_dispatch(struct session *s,
                    uint64_t job,
                    const char *name,
                    const char *const *values,
                    size_t count,
                    struct error *err)
{
    char drawn[2 * KEY_BYTES + 1], user[LIMIT_OWNER_BYTES + 1];
    struct dispatch_request request = {.job = job,
                                       .owner = text_view(submit_user(user))};
    struct buffer packed = {0};
    struct submit_result made;
    const char *key;
    int rc = take_key(s, &key, drawn, err);

    if (rc == 0) {
        texts_pack(values, count, &packed);
        request.key = text_view(key);
        request.values = buffer_view(&packed);
        rc = send_dispatch(s, &request, &made, err);
    }
    buffer_finish(&packed);
    if (rc != 0)
        return rc;
    print_made(s, &(struct made){made.id, name}, 1, made.index);
    return options_flag(s->options, "wait") ? job_wait(s, made.id, true, &s->err, err)
                                            : EXIT_SUCCESS;
}

int submit_job(struct session *s, const struct job_spec *spec, struct error *err)
{
    uint32_t place = 0;
    struct job_set set = {
        .specs = (struct job_spec *)(uintptr_t)spec, .place = &place, .count = 1};
    int rc = job_spec_check(spec, err);

    return rc == 0 ? submit_set(s, &set, 0, err) : rc;
}
