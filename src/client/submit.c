/* submit.c - what `run` and `submit` have in common. */
#include "client/submit.h"

#include "base/entropy.h"
#include "base/mem.h"
#include "base/text.h"
#include "client/job_wait.h"

#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ZONES     "/usr/share/zoneinfo"
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

/* Who we are, for the shares of a `fair` role. */
static const char *user_name(char out[LIMIT_OWNER_BYTES + 1])
{
    const struct passwd *entry = getpwuid(getuid());

    if (entry != NULL && strlen(entry->pw_name) <= LIMIT_OWNER_BYTES &&
        text_is_printable(text_view(entry->pw_name)))
        snprintf(out, LIMIT_OWNER_BYTES + 1, "%s", entry->pw_name);
    else
        snprintf(out, LIMIT_OWNER_BYTES + 1, "%u", (unsigned)getuid());
    return out;
}

/* All of them or none; *job is the first. */
static int send_jobs(struct session *s,
                     const struct job_set *set,
                     const char *key,
                     struct submit_result *job,
                     struct error *err)
{
    struct buffer packed = {0}, frame = {0}, result = {0};
    char user[LIMIT_OWNER_BYTES + 1];
    struct submit_request request;
    int rc = 0;

    if (set->is_list)
        job_specs_pack(set->specs, set->count, &packed);
    else
        job_spec_pack(set->specs, &packed);
    if (packed.size > LIMIT_SPEC_BYTES) {
        rc =
            error_set(err,
                      ERROR_TOO_LARGE,
                      "jobs: %zu bytes together; the most is %lu: submit them in parts",
                      packed.size,
                      LIMIT_SPEC_BYTES);
    } else {
        request = (struct submit_request){text_view(key),
                                          buffer_view(&packed),
                                          text_view(user_name(user)),
                                          set->is_list};
        submit_pack(&request, 0, &frame);
        rc = session_call(s, buffer_view(&frame), CLIENT_LEADER, &result, NULL, err);
    }
    if (rc == 0)
        rc = submit_result_unpack(job, buffer_view(&result), err);
    buffer_finish(&packed);
    buffer_finish(&frame);
    buffer_finish(&result);
    return rc;
}

static void print_ids(struct session *s, const uint64_t *ids, size_t count)
{
    struct buffer lines = {0};

    for (size_t i = 0; i < count; i++)
        buffer_printf(&lines, "%" PRIu64 "\n", ids[i]);
    screen_write(&s->out, &lines);
    buffer_finish(&lines);
}

/* One after the other; the status of the first that did not end well. */
static int
wait_for_all(struct session *s, uint64_t first, size_t count, struct error *err)
{
    int worst = EXIT_SUCCESS;

    for (size_t i = 0; i < count; i++) {
        int rc = job_wait(s, first + i, true, &s->err, err);

        if (rc < 0)
            return rc;
        if (worst == EXIT_SUCCESS)
            worst = rc;
    }
    return worst;
}

/* In this order; they are waited for in that of their ids, from the first on. */
static int told(struct session *s,
                const uint64_t *ids,
                size_t count,
                uint64_t first,
                struct error *err)
{
    print_ids(s, ids, count);
    if (options_flag(s->options, "wait"))
        return wait_for_all(s, first, count, err);
    return EXIT_SUCCESS;
}

/* Masters accept any name, and cannot start what they do not know: a wrong one is most likely
 * seen here, where the tz database is the same or none. */
static int check_zone(const struct job_spec *spec, struct error *err)
{
    char path[PATH_MAX];

    if (spec->schedule.timezone == NULL || access(ZONES, F_OK) != 0)
        return 0;
    snprintf(path, sizeof(path), ZONES "/%s", spec->schedule.timezone);
    if (access(path, F_OK) == 0)
        return 0;
    return error_set(err,
                     ERROR_INVALID,
                     "schedule: timezone: there is no '%s' in " ZONES
                     "; give one of those, as Europe/Berlin",
                     spec->schedule.timezone);
}

int submit_set(struct session *s, const struct job_set *set, struct error *err)
{
    char drawn[2 * KEY_BYTES + 1];
    struct submit_result job;
    uint64_t *ids;
    const char *key;
    int rc = take_key(s, &key, drawn, err);

    for (size_t i = 0; rc == 0 && i < set->count; i++)
        rc = check_zone(&set->specs[i], err);
    if (rc == 0)
        rc = session_open(s, err);
    if (rc == 0)
        rc = send_jobs(s, set, key, &job, err);
    if (rc != 0)
        return rc;
    ids = mem_alloc(set->count * sizeof(*ids));
    for (size_t i = 0; i < set->count; i++)
        ids[set->place[i]] = job.id + i;
    rc = told(s, ids, set->count, job.id, err);
    mem_free(ids);
    return rc;
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
                    const char *const *values,
                    size_t count,
                    struct error *err)
{
    char drawn[2 * KEY_BYTES + 1], user[LIMIT_OWNER_BYTES + 1];
    struct dispatch_request request = {.job = job, .owner = text_view(user_name(user))};
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
    return rc == 0 ? told(s, &(uint64_t){made.id}, 1, made.id, err) : rc;
}

int submit_job(struct session *s, const struct job_spec *spec, struct error *err)
{
    uint32_t place = 0;
    struct job_set set = {
        .specs = (struct job_spec *)(uintptr_t)spec, .place = &place, .count = 1};
    int rc = job_spec_check(spec, err);

    return rc == 0 ? submit_set(s, &set, err) : rc;
}
