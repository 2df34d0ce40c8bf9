/* master.h - triarch-master: the parts of the program, and who owns what.
 *
 *   core       decides (core/core.h); everything below carries out
 *   storage    data directory, log writer, log reader, snapshots: threads of their own
 *   peers      connections to the other masters; transfers of snapshots beside them
 *   server     sessions of agents and clients
 *   web        /health and /metrics
 *   planner    what would happen, in a copy of the process
 *
 * One thread runs the loop and everything here.  An event of any part goes into drive(), which
 * steps the core and carries its actions out; at the end of each turn of the loop drive_turn()
 * lets the core propose what came together.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include "master/core/core.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/peer.h"
#include "net/server.h"

struct planner;
struct storage;
struct transfers;
struct web;

/* Lines about sessions that ended, in this second (sessions.c). */
struct session_log {
    uint64_t until_ms;
    unsigned lines;
    unsigned more; /* that were not written */
    struct loop_timer timer;
};

struct master {
    uint64_t id;
    struct cluster cluster;
    struct address rpc; /* what we listen on */
    struct address http;
    bool has_http;
    unsigned sessions_max; /* of all that may be agents or clients */
    unsigned http_max;     /* connections */
    uint64_t incarnation;
    int exit_status;

    struct loop *loop;
    struct master_core *core;
    struct master_actions actions;
    struct storage *storage;
    struct transfers *transfers;
    struct server *server;
    struct peers *peers;
    struct web *web;
    struct planner *planner;
    struct loop_timer timer;
    struct deferred turn;
    struct deferred zone_turn;
    char zone[sizeof(((struct master_action *)0)->text)]; /* that it is to tell of */
    struct session_log session_log;
};

/* drive.c: step the core with one event (clocks are filled in) and carry its actions out. */
void drive(struct master *m, struct master_event *event);
void drive_replica(struct master *m, struct replica_event *event);
void drive_stop(struct master *m); /* no timer and no turn any more */

/* sessions.c: the listener and the mesh of masters. */
int sessions_start(struct master *m, struct error *err);
void sessions_stop(struct master *m);

#endif
