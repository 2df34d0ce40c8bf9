/* giving_up.c - the last word on a request that nobody answered.
 *
 * It says whether the request may have taken effect, and what a user can do about it.
 */
#include "base/assert.h"
#include "base/text.h"
#include "client/core/core_internal.h"
#include "wire/message_client.h"

/* What a user can do about an outcome that is not known. */
static void append_advice(struct buffer *out, const struct request *r)
{
    struct dispatch_request dispatch;
    struct submit_request submit;
    struct bytes key = {0};
    struct rpc rpc;

    switch (r->method) {
    case METHOD_SUBMIT:
    case METHOD_SUBMIT_ALL:
    case METHOD_DISPATCH:
        ASSERT(rpc_unpack(&rpc,
                          (struct bytes){r->frame + FRAME_SIZE_WORD,
                                         r->size - FRAME_SIZE_WORD},
                          NULL) == 0);
        if (r->method == METHOD_DISPATCH) {
            if (dispatch_unpack(&dispatch, rpc.params, NULL) == 0)
                key = dispatch.key;
        } else if (submit_unpack(&submit, rpc.params, NULL) == 0) {
            key = submit.key;
        }
        if (key.size > 0)
            buffer_printf(out,
                          "repeat with --key %.*s; the same key never makes a second "
                          "job",
                          (int)key.size,
                          (const char *)key.data);
        break;
    case METHOD_KILL:
    case METHOD_PURGE:
    case METHOD_AGENT_GONE:
    case METHOD_ROLE_SET:
    case METHOD_ROLE_REMOVE:
        buffer_append_text(out, "repeat it; the same twice does no harm");
        break;
    default:
        break;
    }
}

static bool is_listing(const struct request *r)
{
    return r->method == METHOD_JOBS || r->method == METHOD_TASKS ||
           r->method == METHOD_AGENTS || r->method == METHOD_MASTERS ||
           r->method == METHOD_USAGE || r->method == METHOD_SPEC ||
           r->method == METHOD_ROLES || r->method == METHOD_FAILURES ||
           r->method == METHOD_FAILURE_SUMS || r->method == METHOD_PLAN;
}

/* "27101 answers, but no master leads": the others may be those that were not listed. */
static void
append_leaderless(struct buffer *out, const struct client_core *c, const char *between)
{
    uint32_t leader = client_core_leader(c), up = 0;

    if (leader != CLIENT_NOBODY) {
        if (between[0] == 0)
            buffer_printf(out, "%s leads and is silent", c->masters[leader].address);
        return;
    }
    for (uint32_t m = 0; m < c->master_count; m++) {
        if (c->masters[m].link != LINK_UP)
            continue;
        buffer_printf(out, "%s%s", up == 0 ? between : ", ", c->masters[m].address);
        up++;
    }
    if (up > 0)
        buffer_printf(out,
                      " %s, but no master leads: do most of them run?",
                      up == 1 ? "answers" : "answer");
}

/* "127.0.0.1:5049: connection refused; …" */
static void append_troubles(struct buffer *out, const struct client_core *c)
{
    const char *between = "";

    for (uint32_t m = 0; m < c->master_count; m++) {
        const struct master *master = &c->masters[m];

        if (master->link == LINK_UP)
            continue;
        buffer_printf(out,
                      "%s%s: %s",
                      between,
                      master->address,
                      master->trouble[0] != 0 ? master->trouble : "no answer");
        between = "; ";
    }
    append_leaderless(out, c, between);
}

void requests_too_busy(struct client_core *c, struct request *r)
{
    char after[TEXT_SHORT_MAX];
    struct buffer text = {0};

    text_duration(after, c->busy_ms);
    buffer_printf(
        &text,
        "%s: the masters are busy, so nothing was changed: %.*s; try again %s%s",
        method_name(r->method),
        (int)c->busy.size,
        (const char *)c->busy.data,
        c->busy_ms == 0 ? "later" : "in ",
        c->busy_ms == 0 ? "" : after);
    requests_end(c, r, CLIENT_NOBODY, ERROR_BUSY, buffer_view(&text));
    buffer_finish(&text);
}

void requests_expire(struct client_core *c, struct request *r)
{
    bool may_be_done = r->uncertain || r->asked != 0;
    enum error_code code = ERROR_TIMEOUT;
    char within[TEXT_SHORT_MAX];
    struct buffer text = {0};

    if (r->refused == ERROR_BUSY && !may_be_done) {
        requests_too_busy(c, r);
        return;
    }
    text_duration(within, r->timeout_ms);
    if (r->route == CLIENT_ONE) {
        buffer_printf(&text, "no answer within %s", within);
    } else if (is_listing(r)) {
        buffer_printf(
            &text, "%s: no answer within %s: ", method_name(r->method), within);
        append_troubles(&text, c);
    } else if (may_be_done) {
        buffer_printf(&text,
                      "%s: no answer within %s, so the outcome is unknown: ",
                      method_name(r->method),
                      within);
        append_advice(&text, r);
    } else {
        code = ERROR_UNAVAILABLE;
        buffer_printf(&text,
                      "%s: nobody took it within %s, so nothing was changed: ",
                      method_name(r->method),
                      within);
        append_troubles(&text, c);
    }
    requests_end(c, r, CLIENT_NOBODY, code, buffer_view(&text));
    buffer_finish(&text);
}

void requests_give_up(struct client_core *c, enum error_code code)
{
    struct buffer text = {0};
    struct request *r, *next;

    buffer_append_text(&text, "no master can be asked: ");
    append_troubles(&text, c);
    if (code == ERROR_UNAVAILABLE)
        buffer_append_text(&text,
                           "; is the cluster running, and are these its masters?");
    TAILQ_FOREACH_SAFE (r, &c->by_deadline, by_deadline, next)
        if (r->asked == 0 && !r->uncertain)
            requests_end(c, r, CLIENT_NOBODY, code, buffer_view(&text));
    buffer_finish(&text);
}
