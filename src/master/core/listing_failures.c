/* listing_failures.c - pages of failures, the newest first, and their sums. */
#include "master/core/internal.h"

#include "wire/message_failure.h"

/* A place in the listing grows as the id falls, so that `next` is behind `after`. */
static uint64_t place_of(uint64_t id)
{
    return INT64_MAX - id;
}

/* Behind this place. */
static uint64_t next_id(const struct state *s, uint64_t at)
{
    if (at == 0)
        return s->failures.last;
    return at < INT64_MAX ? place_of(at) - 1 : 0;
}

static bool is_wanted(const struct list_request *q, const struct failure *f)
{
    return (q->of == 0 || f->job == q->of) &&
           (q->agent == 0 || f->agent == q->agent || f->next_agent == q->agent) &&
           (q->type == 0 || failure_type_number(failure_type(f)) == q->type);
}

static void put_failure(struct master_core *m, struct page *p, const struct failure *f)
{
    failure_info_pack(&p->w,
                      &(struct failure_info){
                          .id = f->id,
                          .type = failure_type(f),
                          .stamp_us = f->stamp_us,
                          .down_us = f->down_us,
                          .retry_us = f->retry_us,
                          .recovered_us = f->recovered_us,
                          .job = f->job,
                          .agent = f->agent,
                          .next_agent = f->next_agent,
                          .instance = f->instance,
                          .attempt = f->attempt,
                          .moved = f->moved,
                          .exit_code = f->exit_code,
                          .task_state = (enum task_state)f->task_state,
                          .deed = (enum failure_deed)f->deed,
                          .state = state_failure_is(m->state, f),
                      });
}

bool list_failures(struct master_core *m, struct page *p)
{
    uint64_t id = next_id(m->state, p->at);
    const struct failure *f;

    for (; (f = state_failure(m->state, id)) != NULL && f->stamp_us >= p->q.since_us &&
           !listing_pauses(m, p);
         id--) {
        if (is_wanted(&p->q, f))
            put_failure(m, p, f);
        listing_passed(m, p, place_of(id));
    }
    return f != NULL && f->stamp_us >= p->q.since_us;
}

void list_failure_sums(struct master_core *m, struct page *p)
{
    const struct failures *l = &m->state->failures;

    for (int of_agent = 0; of_agent < 2; of_agent++) {
        for (int r = 0; r < TASK_REASON_COUNT; r++) {
            const struct failure_sum *sum = &l->sums[of_agent][r];

            if (sum->count == 0)
                continue;
            failure_sum_info_pack(&p->w,
                                  &(struct failure_sum_info){
                                      .type = {of_agent != 0, (enum task_reason)r},
                                      .count = sum->count,
                                      .open = l->open[of_agent][r],
                                      .recovered = sum->recovered,
                                      .recovery_us = sum->recovery_us,
                                      .longest_us = sum->longest_us,
                                  });
        }
    }
    listing_passed(m, p, 0);
}
