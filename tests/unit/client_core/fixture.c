#include "fixture.h"

#include "base/mem.h"
#include "base/text.h"
#include "wire/message.h"

#include <stdio.h>
#include <string.h>

#define SIZE_WORD 4

void fixture_start_with(struct fixture *f, const struct client_config *config)
{
    *f = (struct fixture){.core = client_core_create(config), .now_ms = 1000};
}

void fixture_start(struct fixture *f, uint32_t masters, uint64_t entropy)
{
    static const char *const names[] = {"a:1", "b:1", "c:1", "d:1", "e:1"};
    struct client_config config;

    client_config_init(&config);
    config.masters = names;
    config.master_count = masters;
    config.entropy = entropy;
    fixture_start_with(f, &config);
}

void fixture_finish(struct fixture *f)
{
    client_core_destroy(f->core);
    client_actions_finish(&f->actions);
    mem_free(f->sent);
    mem_free(f->finished);
}

/* ---- actions ---- */

static void keep_frames(struct fixture *f, uint32_t master, struct bytes frames)
{
    while (frames.size > 0) {
        int64_t size = rpc_frame_size(frames, NULL);
        struct submit_request submit;
        struct sent *sent;
        struct rpc rpc;

        ck_assert_int_gt(size, SIZE_WORD);
        ck_assert_int_eq(rpc_unpack(&rpc,
                                    (struct bytes){frames.data + SIZE_WORD,
                                                   (size_t)size - SIZE_WORD},
                                    NULL),
                         0);
        ck_assert_int_eq(rpc.type, RPC_REQUEST);
        MEM_GROW(f->sent, f->sent_capacity, f->sent_count + 1);
        sent = &f->sent[f->sent_count++];
        *sent = (struct sent){
            .master = master, .id = rpc.id, .method = rpc.method, .at_ms = f->now_ms};
        if (rpc.method == METHOD_SUBMIT) {
            ck_assert_int_eq(submit_unpack(&submit, rpc.params, NULL), 0);
            memcpy(sent->key, submit.key.data, submit.key.size);
        }
        frames.data += size;
        frames.size -= (size_t)size;
    }
}

static void keep_finished(struct fixture *f, const struct client_action *action)
{
    struct submit_result result = {0};
    struct finished *kept;

    MEM_GROW(f->finished, f->finished_capacity, f->finished_count + 1);
    kept = &f->finished[f->finished_count++];
    *kept = (struct finished){.ticket = action->finished.ticket,
                              .master = action->master,
                              .code = action->finished.code,
                              .repeated = action->finished.repeated,
                              .at_ms = f->now_ms};
    if (kept->code == ERROR_NONE) {
        ck_assert_int_eq(submit_result_unpack(&result, action->finished.result, NULL),
                         0);
        kept->id = result.id;
    } else {
        snprintf(kept->text, sizeof(kept->text), "%s", action->finished.text);
    }
}

static void keep(struct fixture *f, const struct client_action *action)
{
    switch (action->kind) {
    case CLIENT_CONNECT:
        ck_assert_str_eq(action->connect.address,
                         client_core_address(f->core, action->master));
        f->connects[action->master]++;
        break;
    case CLIENT_CLOSE:
        f->closes[action->master]++;
        break;
    case CLIENT_SEND:
        keep_frames(f, action->master, action->send.bytes);
        break;
    case CLIENT_FINISHED:
        keep_finished(f, action);
        break;
    }
    if (f->on_action != NULL)
        f->on_action(f->user, action);
}

void fixture_step(struct fixture *f, struct client_event *event)
{
    event->now_ms = f->now_ms;
    client_step(f->core, event, &f->actions);
    for (size_t i = 0; i < f->actions.count; i++)
        keep(f, &f->actions.list[i]);
}

/* ---- requests ---- */

static void request(struct fixture *f,
                    uint64_t ticket,
                    struct buffer *frame,
                    enum client_route route,
                    uint32_t master,
                    uint64_t timeout_ms)
{
    struct client_event event = {.kind = CLIENT_REQUEST,
                                 .request = {.ticket = ticket,
                                             .frame = buffer_view(frame),
                                             .route = route,
                                             .master = master,
                                             .timeout_ms = timeout_ms}};

    fixture_step(f, &event);
    buffer_finish(frame);
}

void fixture_submit(struct fixture *f, uint64_t ticket, const char *key)
{
    struct submit_request submit = {.key = text_view(key), .spec = text_view("spec")};
    struct buffer frame = {0};

    submit_pack(&submit, 0, &frame);
    request(f, ticket, &frame, CLIENT_LEADER, 0, 0);
}

void fixture_request(struct fixture *f,
                     uint64_t ticket,
                     enum method method,
                     enum client_route route,
                     uint32_t master,
                     uint64_t timeout_ms)
{
    struct list_request list = {.limit = 10};
    struct buffer frame = {0};

    if (method == METHOD_KILL || method == METHOD_PURGE || method == METHOD_AGENT_GONE)
        id_request_pack(method, 7, 0, &frame);
    else
        list_pack(method, &list, 0, &frame);
    request(f, ticket, &frame, route, master, timeout_ms);
}

/* ---- the world ---- */

void fixture_hello(struct fixture *f, uint32_t master, const struct hello *hello)
{
    struct client_event event = {.kind = CLIENT_CONNECTED,
                                 .connected = {.master = master, .hello = hello}};

    fixture_step(f, &event);
}

void fixture_connected(struct fixture *f, uint32_t master)
{
    fixture_hello(f, master, &(struct hello){.role = HELLO_MASTER, .id = master + 1});
}

void fixture_connected_leading(struct fixture *f, uint32_t master, uint64_t term)
{
    fixture_hello(
        f,
        master,
        &(struct hello){
            .role = HELLO_MASTER, .id = master + 1, .leads = true, .term = term});
}

void fixture_refused_for(struct fixture *f, uint32_t master, enum error_code code)
{
    struct error reason;
    struct client_event event = {.kind = CLIENT_REFUSED,
                                 .refused = {.master = master, .reason = &reason}};

    error_set(&reason, code, "connection refused");
    fixture_step(f, &event);
}

void fixture_refused(struct fixture *f, uint32_t master)
{
    fixture_refused_for(f, master, ERROR_UNAVAILABLE);
}

void fixture_closed(struct fixture *f, uint32_t master)
{
    static const struct error reason = {ERROR_UNAVAILABLE, "closed by the other side"};
    struct client_event event = {.kind = CLIENT_CLOSED,
                                 .closed = {.master = master, .reason = &reason}};

    fixture_step(f, &event);
}

void fixture_frame(struct fixture *f, uint32_t master, struct bytes frame)
{
    struct client_event event = {
        .kind = CLIENT_FRAME,
        .frame = {.master = master,
                  .bytes = {frame.data + SIZE_WORD, frame.size - SIZE_WORD}}};

    fixture_step(f, &event);
}

void fixture_result(struct fixture *f, uint32_t master, uint32_t id, uint64_t job)
{
    struct submit_result result = {.id = job, .index = job};
    struct buffer frame = {0};

    submit_result_pack(&result, id, &frame);
    fixture_frame(f, master, buffer_view(&frame));
    buffer_finish(&frame);
}

void fixture_error(struct fixture *f,
                   uint32_t master,
                   uint32_t id,
                   enum error_code code,
                   const char *hint)
{
    struct buffer frame = {0};

    rpc_error(&frame, id, code, "because of the test", hint);
    fixture_frame(f, master, buffer_view(&frame));
    buffer_finish(&frame);
}

void fixture_busy(struct fixture *f,
                  uint32_t master,
                  uint32_t id,
                  uint64_t retry_after_ms)
{
    struct buffer frame = {0};

    rpc_busy(&frame, id, "the test is full", retry_after_ms);
    fixture_frame(f, master, buffer_view(&frame));
    buffer_finish(&frame);
}

void fixture_leading(struct fixture *f, uint32_t master, uint64_t term)
{
    struct buffer frame = {0};

    leading_pack(term, &frame);
    fixture_frame(f, master, buffer_view(&frame));
    buffer_finish(&frame);
}

void fixture_wait(struct fixture *f, uint64_t ms)
{
    struct client_event event = {.kind = CLIENT_TIME};
    uint64_t end = f->now_ms + ms;

    while (f->actions.deadline_ms <= end) {
        uint64_t at = f->actions.deadline_ms;

        f->now_ms = at > f->now_ms ? at : f->now_ms;
        fixture_step(f, &event);
        /* A deadline that is not in the future would spin the loop of a program. */
        ck_assert_uint_gt(f->actions.deadline_ms, f->now_ms);
    }
    f->now_ms = end;
}

/* ---- what it did ---- */

size_t fixture_sent_to(const struct fixture *f, uint32_t master)
{
    size_t count = 0;

    for (size_t i = 0; i < f->sent_count; i++)
        count += f->sent[i].master == master;
    return count;
}

const struct sent *fixture_last_sent(const struct fixture *f)
{
    ck_assert_uint_gt(f->sent_count, 0);
    return &f->sent[f->sent_count - 1];
}

const struct finished *fixture_last_finished(const struct fixture *f)
{
    ck_assert_uint_gt(f->finished_count, 0);
    return &f->finished[f->finished_count - 1];
}
