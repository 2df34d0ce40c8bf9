/* template_find.c - the job to dispatch that a user means by an id or a name.
 *
 * The whole listing is read: names are not unique, and a wrong one is worth a hint.  What was
 * made of a job has its name as well, but has tasks. */
#include "client/template_find.h"

#include "base/text.h"
#include "client/near_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct search {
    const char *name;
    uint64_t job; /* the first one */
    uint64_t found;
    struct buffer ids;
    bool any; /* a job has the name, if of no use */
    struct near_name near;
};

static bool is_template(const struct job_summary *job)
{
    return job->state == JOB_PENDING && job->instances == 0 &&
           job->kind != JOB_SYSTEM; /* of no agent yet */
}

static void offer(struct search *s, struct bytes name)
{
    char text[LIMIT_NAME_BYTES + 1];

    snprintf(text, sizeof(text), "%.*s", (int)name.size, (const char *)name.data);
    near_name_offer(&s->near, text);
}

static int look(void *user, const struct list_result *page, struct error *err)
{
    struct search *s = user;
    struct command_cursor at = {0};
    struct job_summary job;

    (void)err;
    while (job_summary_next(page, &at, &job)) {
        bool is_named = job.name.size == strlen(s->name) &&
                        memcmp(job.name.data, s->name, job.name.size) == 0;

        s->any = s->any || is_named;
        if (!is_template(&job))
            continue;
        if (!is_named) {
            offer(s, job.name);
            continue;
        }
        buffer_printf(&s->ids, "%s%" PRIu64, s->found++ == 0 ? "" : ", ", job.id);
        if (s->found == 1)
            s->job = job.id;
    }
    return 0;
}

static int judge(const struct search *s, struct error *err)
{
    if (s->found == 1)
        return 0;
    if (s->found > 1)
        return error_set(err,
                         ERROR_CONFLICT,
                         "%" PRIu64
                         " jobs to dispatch have the name \"%.80s\": give the "
                         "id, %.*s",
                         s->found,
                         s->name,
                         (int)(s->ids.size < 80 ? s->ids.size : 80),
                         (const char *)s->ids.data);
    if (s->near.best[0] != '\0')
        return error_set(err,
                         ERROR_NOT_FOUND,
                         "no job to dispatch has the name \"%.80s\": did you mean "
                         "%.80s?",
                         s->name,
                         s->near.best);
    return error_set(
        err,
        ERROR_NOT_FOUND,
        s->any ? "the job \"%.80s\" has ended, or has no parameters: `triarch "
                 "status` lists the jobs"
               : "no job has the id or name \"%.80s\"; `triarch status` "
                 "lists the jobs",
        s->name);
}

int template_find(struct session *session,
                  const char *text,
                  uint64_t *job,
                  struct error *err)
{
    struct search s = {.name = text, .near = {.word = text}};
    int rc;

    if (text_parse_u64(job, text) && *job > 0)
        return 0;
    rc = session_list(session, METHOD_JOBS, 0, look, &s, err);
    if (rc == 0)
        rc = judge(&s, err);
    *job = s.job;
    buffer_finish(&s.ids);
    return rc;
}
