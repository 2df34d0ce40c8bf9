/* reads.c - linearizable reads without a log write (Raft thesis, section 6.4).
 *
 * A read is ready when, after it arrived, a majority said that our term is still the highest it
 * knows, and everything committed by then is applied.  No clocks and no leases.  One round is
 * in flight; reads that arrive meanwhile share the next one.
 */
#include "raft/internal.h"

#include "base/mem.h"

static void push(struct ticket_list *list, uint64_t ticket)
{
    MEM_GROW(list->items, list->capacity, list->count + 1);
    list->items[list->count++] = ticket;
}

static void move(struct ticket_list *to, struct ticket_list *from)
{
    for (size_t i = 0; i < from->count; i++)
        push(to, from->items[i]);
    from->count = 0;
}

static void
answer(struct replica *r, struct ticket_list *list, enum replica_action_kind kind)
{
    for (size_t i = 0; i < list->count; i++)
        replica_act(r, kind)->read.ticket = list->items[i];
    list->count = 0;
}

void reads_add(struct replica *r, uint64_t ticket)
{
    if (r->leads)
        push(&r->reads.waiting, ticket);
    else
        replica_act(r, REPLICA_READ_FAILED)->read.ticket = ticket;
}

static void ask(struct replica *r)
{
    r->reads.asked_ms = r->now_ms;
    for (unsigned i = 0; i < r->peer_count; i++)
        if (!r->peers[i].confirmed)
            outbox_say(r,
                       r->peers[i].id,
                       &(struct peer_message){.kind = PEER_CONFIRM,
                                              .term = raft_current_term(&r->raft),
                                              .confirm = {.round = r->reads.round}});
}

static void begin_round(struct replica *r)
{
    struct reads *reads = &r->reads;

    move(&reads->asked, &reads->waiting);
    reads->in_flight = true;
    reads->round++;
    reads->asked_index = r->commit;
    for (unsigned i = 0; i < r->peer_count; i++)
        r->peers[i].confirmed = false;
    ask(r);
}

static void end_round_if_majority(struct replica *r)
{
    struct reads *reads = &r->reads;
    unsigned yes = 1;

    for (unsigned i = 0; i < r->peer_count; i++)
        yes += r->peers[i].confirmed;
#ifdef MUTANT_READ_NOT_CONFIRMED
    yes = r->peer_count + 1;
#endif
    if (!reads->in_flight || yes <= (r->peer_count + 1) / 2)
        return;
    reads->in_flight = false;
    reads->ready_index = reads->asked_index;
    r->counters.reads_confirmed += reads->asked.count;
    move(&reads->confirmed, &reads->asked);
}

void reads_confirmed(struct replica *r,
                     struct peer *peer,
                     uint64_t term,
                     uint64_t round)
{
    if (!r->leads || !r->reads.in_flight || round != r->reads.round ||
        term != raft_current_term(&r->raft))
        return;
    peer->confirmed = true;
    end_round_if_majority(r);
}

void reads_advance(struct replica *r)
{
    struct reads *reads = &r->reads;

    if (!r->leads)
        return;
    if (!reads->in_flight && reads->waiting.count > 0) {
        begin_round(r);
        end_round_if_majority(r); /* a sole master is its own majority */
    } else if (reads->in_flight &&
               r->now_ms >= reads->asked_ms + r->config.heartbeat_ms) {
        ask(r); /* the question or the answer was lost */
    }
    if (reads->confirmed.count > 0 && r->applied >= reads->ready_index)
        answer(r, &reads->confirmed, REPLICA_READ_READY);
}

void reads_fail(struct replica *r)
{
    r->reads.in_flight = false;
    answer(r, &r->reads.waiting, REPLICA_READ_FAILED);
    answer(r, &r->reads.asked, REPLICA_READ_FAILED);
    answer(r, &r->reads.confirmed, REPLICA_READ_FAILED);
}

uint64_t reads_deadline(const struct replica *r)
{
    return r->reads.in_flight ? r->reads.asked_ms + r->config.heartbeat_ms : UINT64_MAX;
}

void reads_finish(struct replica *r)
{
    mem_free(r->reads.waiting.items);
    mem_free(r->reads.asked.items);
    mem_free(r->reads.confirmed.items);
}
