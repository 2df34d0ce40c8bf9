/* drive.c - events into the core, its actions into the world. */
#include "master/master.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "master/planner.h"
#include "master/storage.h"
#include "master/transfers.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where tz databases are (tzdata). */
#define ZONES "/usr/share/zoneinfo"

static void take_turn(void *user);
static void tell_zone(void *user);

/* ---- actions of the replica ---- */

static void carry_out_replica(struct master *m, struct replica_action *a)
{
    switch (a->kind) {
    case REPLICA_SEND:
        peers_send(m->peers, a->send.peer, buffer_view(&a->send.bytes));
        break;
    case REPLICA_PERSIST:
        storage_persist(m->storage, a->op);
        a->op = NULL;
        break;
    case REPLICA_READ_ENTRIES:
        storage_read(m->storage,
                     a->read_entries.peer,
                     a->read_entries.from,
                     a->read_entries.count,
                     a->read_entries.bytes);
        break;
    case REPLICA_SNAPSHOT_BEGIN:
        log_info("master",
                 "taking a snapshot index=%llu",
                 (unsigned long long)a->snapshot_begin.index);
        storage_snapshot_begin(m->storage, &a->snapshot_begin);
        break;
    case REPLICA_SNAPSHOT_CHUNK:
        storage_snapshot_chunk(m->storage, a->snapshot_chunk);
        a->snapshot_chunk = NULL;
        break;
    case REPLICA_SNAPSHOT_COMMIT:
        storage_snapshot_commit(m->storage);
        break;
    case REPLICA_SNAPSHOT_ABANDON:
        storage_snapshot_abandon(m->storage);
        break;
    case REPLICA_SNAPSHOT_SEND:
        transfers_send(m->transfers, a->snapshot_send.peer);
        break;
    case REPLICA_SNAPSHOT_PROMOTE:
        transfers_promote(m->transfers, a->snapshot_promote.from);
        break;
    case REPLICA_SNAPSHOT_LOAD:
        storage_snapshot_load(m->storage);
        break;
    case REPLICA_FATAL:
        log_error(
            "master", "%s; stopping, nothing acknowledged is lost", a->fatal.text);
        abort();
    case REPLICA_ROLE_CHANGED:
    case REPLICA_LEADING:
    case REPLICA_READ_READY:
    case REPLICA_READ_FAILED:
        break; /* the core's own business */
    }
}

/* ---- actions of the core ---- */

static void send_to_session(struct master *m, const struct master_action *a)
{
    struct conn *c = server_find(m->server, a->send.session);

    if (c != NULL)
        conn_send(c,
                  (struct bytes){m->actions.bytes.data + a->send.offset, a->send.size});
}

static void close_session(struct master *m, const struct master_action *a)
{
    struct conn *c = server_find(m->server, a->close);
    struct error reason;

    if (c == NULL)
        return;
    error_set(&reason, ERROR_INVALID, "%s", a->text);
    conn_refuse(c, &reason);
}

static void found(struct master *m, const struct master_action *a)
{
    struct error err;

    if (storage_found(m->storage, blob_view(a->configuration), &err) != 0) {
        log_error("master", "founding: %s", err.text);
        exit(70);
    }
}

static void say(const struct master_action *a)
{
    static const enum log_level LEVELS[] = {
        [MASTER_LOG_ERROR] = LOG_LEVEL_ERROR,
        [MASTER_LOG_WARNING] = LOG_LEVEL_WARNING,
        [MASTER_LOG_INFO] = LOG_LEVEL_INFO,
    };

    log_write(LEVELS[a->level], "master", "%s", a->text);
}

/* Answered in a turn of its own: the core asks for the next one when it has this. */
static void ask_zone(struct master *m, const struct master_action *a)
{
    snprintf(m->zone, sizeof(m->zone), "%s", a->text);
    loop_defer(m->loop, &m->zone_turn, tell_zone, m);
}

static void carry_out(struct master *m, const struct master_action *a, bool *founded)
{
    switch (a->kind) {
    case MASTER_SEND:
        send_to_session(m, a);
        break;
    case MASTER_CLOSE:
        close_session(m, a);
        break;
    case MASTER_FOUND:
        found(m, a);
        *founded = true;
        break;
    case MASTER_CLUSTER_ID:
        storage_cluster_id(m->storage, a->cluster_id);
        break;
    case MASTER_ROLE:
        break; /* hellos are asked for when they are needed */
    case MASTER_LOG:
        say(a);
        break;
    case MASTER_READ_ZONE:
        ask_zone(m, a);
        break;
    case MASTER_PLAN:
        planner_ask(m->planner,
                    a->plan.session,
                    a->plan.rpc,
                    (struct bytes){m->actions.bytes.data + a->plan.offset, a->plan.size});
        break;
    case MASTER_EXIT:
        loop_stop(m->loop);
        break;
    }
}

/* A small file of the system's tz database; empty when there is none. */
static void read_zone(struct buffer *out, const char *name)
{
    char path[PATH_MAX];
    FILE *file;

    snprintf(path, sizeof(path), ZONES "/%s", name);
    file = fopen(path, "re");
    if (file == NULL)
        return;
    out->size = fread(
        buffer_reserve(out, LIMIT_ZONE_FILE_BYTES), 1, LIMIT_ZONE_FILE_BYTES, file);
    fclose(file);
}

static void tell_zone(void *user)
{
    struct master *m = user;
    struct buffer file = {0};
    char name[sizeof(m->zone)]; /* another one may be asked for by the answer */

    memcpy(name, m->zone, sizeof(name));
    read_zone(&file, name);
    drive(m,
          &(struct master_event){.kind = MASTER_ZONE,
                                 .zone = {.name = name, .file = buffer_view(&file)}});
    buffer_finish(&file);
}

/* ---- steps ---- */

/* How long ago all that agents had sent by then was read: they were in these ranks. */
static uint64_t behind_ms(const struct master *m)
{
    uint64_t agents = loop_behind_ms(m->loop, RANK_AGENT);
    uint64_t others = loop_behind_ms(m->loop, RANK_OTHER);

    return agents > others ? agents : others;
}

static void on_timer(void *user)
{
    struct master *m = user;

    drive(m,
          &(struct master_event){.kind = MASTER_TIME, .time.behind_ms = behind_ms(m)});
}

void drive(struct master *m, struct master_event *event)
{
    bool founded = false; /* answered when all actions are carried out */

    event->now_ms = loop_now_ms();
    event->wall_us = clock_wall_us();
    master_actions_clear(&m->actions);
    master_step(m->core, event, &m->actions);
    for (size_t i = 0; i < m->actions.replica.count; i++)
        carry_out_replica(m, &m->actions.replica.items[i]);
    storage_submit(m->storage);
    for (size_t i = 0; i < m->actions.count; i++)
        carry_out(m, &m->actions.items[i], &founded);
    timer_set_at(m->loop, &m->timer, m->actions.deadline_ms, on_timer, m);
    if (event->kind != MASTER_TURN || m->actions.again)
        loop_defer(m->loop, &m->turn, take_turn, m);
    if (founded)
        drive(m, &(struct master_event){.kind = MASTER_FOUNDED});
}

static void take_turn(void *user)
{
    drive(user, &(struct master_event){.kind = MASTER_TURN});
}

void drive_replica(struct master *m, struct replica_event *event)
{
    drive(m, &(struct master_event){.kind = MASTER_REPLICA, .replica = event});
}

void drive_stop(struct master *m)
{
    timer_stop(m->loop, &m->timer);
    deferred_cancel(m->loop, &m->turn);
    deferred_cancel(m->loop, &m->zone_turn);
}
