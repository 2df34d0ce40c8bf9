/* links.c - what jobs wait for, and what waits for them. */
#include "raft_fsm/links.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft_fsm/state.h"

static int ending_by_job(const struct job_links *a, const struct job_links *b)
{
    return (a->job->id > b->job->id) - (a->job->id < b->job->id);
}

RB_GENERATE(ending_tree, job_links, by_job, ending_by_job)

bool job_is_blocked(const struct job *j)
{
    return j->links != NULL && !TAILQ_EMPTY(&j->links->after);
}

struct hash128 job_said(const struct job *j)
{
    const struct hash128 none = {0};

    return j->links != NULL && !hash128_equal(j->links->set, none) ? j->links->set
                                                                   : j->body;
}

struct job_links *job_links(struct job *j)
{
    if (j->links == NULL) {
        j->links = mem_zalloc(sizeof(*j->links));
        j->links->job = j;
        TAILQ_INIT(&j->links->after);
        TAILQ_INIT(&j->links->dependents);
    }
    return j->links;
}

void job_links_destroy(struct job *j)
{
    if (j->links == NULL)
        return;
    ASSERT(TAILQ_EMPTY(&j->links->dependents));
    links_clear(NULL, j);
    mem_free(j->links);
    j->links = NULL;
}

/* ---- what it waits for ---- */

void links_add(struct job *j, struct job *on_job, enum job_on on)
{
    struct dependency *d = mem_zalloc(sizeof(*d));

    ASSERT(on_job->id < j->id);
    *d = (struct dependency){.job = j, .on_job = on_job, .on = (uint8_t)on};
    TAILQ_INSERT_TAIL(&job_links(j)->after, d, in_job);
    TAILQ_INSERT_TAIL(&job_links(on_job)->dependents, d, in_peer);
}

/* Everybody was told how it ended. */
static void end(struct state *s, struct job_links *l)
{
    if (!l->is_ending)
        return;
    RB_REMOVE(ending_tree, &s->ending, l);
    l->is_ending = false;
}

void links_remove(struct state *s, struct dependency *d)
{
    struct job_links *peer = d->on_job->links;

    TAILQ_REMOVE(&d->job->links->after, d, in_job);
    TAILQ_REMOVE(&peer->dependents, d, in_peer);
    if (s != NULL && TAILQ_EMPTY(&peer->dependents))
        end(s, peer);
    mem_free(d);
}

void links_clear(struct state *s, struct job *j)
{
    struct dependency *d;

    while (j->links != NULL && (d = TAILQ_FIRST(&j->links->after)) != NULL)
        links_remove(s, d);
}

bool links_met(enum job_on on, const struct job *ended)
{
    bool well = job_state(ended) == JOB_COMPLETE;

    return on == JOB_ON_ANY || well == (on == JOB_ON_SUCCESS);
}

/* ---- who has ended ---- */

void links_count(struct state *s, struct job *j)
{
    struct job_links *l = j->links;

    if (l == NULL || TAILQ_EMPTY(&l->dependents) || !job_state_is_final(job_state(j)))
        return;
    RB_INSERT(ending_tree, &s->ending, l);
    l->is_ending = true;
}

void links_uncount(struct state *s, struct job *j)
{
    if (j->links != NULL)
        end(s, j->links);
}
