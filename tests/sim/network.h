/* network.h - connections between simulated nodes.
 *
 * A connection is two FIFO directions, as TCP gives them: what is sent arrives in order or the
 * connection closes.  What is in flight when it closes may still arrive at the end that did not
 * close it, also after a newer connection was made.  A cut direction stalls what is sent through
 * it until it heals.  In lossy mode a connection loses, repeats and reorders instead (more than
 * TCP ever would); only protocols that promise to bear it use that.
 */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include "base/buffer.h"
#include "world.h"

#include <bsd/sys/queue.h>

struct network;

struct packet {
    STAILQ_ENTRY(packet) link;
    struct buffer bytes;
};

struct connection {
    struct network *net;
    unsigned node[2];        /* ends */
    uint64_t incarnation[2]; /* of the nodes when it was made */
    bool open;
    bool lossy;
    bool drains[2]; /* this end gets what is in flight before it hears of the close */
    bool heard[2];
    uint64_t arrives_us[2]; /* of the last packet towards end 0, 1: keeps order */
    STAILQ_HEAD(, packet) stalled[2];
    unsigned references; /* events on their way */
    void *user[2];       /* the ends' own */
    LIST_ENTRY(connection) link;
};

struct network_calls {
    /* `end` of the connection: bytes arrived, or it closed.  Not called for a dead end. */
    void (*bytes)(struct connection *c, int end, struct bytes bytes);
    void (*closed)(struct connection *c, int end);
};

struct network {
    struct world *world;
    struct network_calls calls;
    unsigned nodes;
    bool cut[NODES_MAX][NODES_MAX]; /* from, to */
    uint64_t delay_us[NODES_MAX][NODES_MAX];
    uint64_t incarnation[NODES_MAX]; /* grows at each crash */
    bool alive[NODES_MAX];
    uint64_t paused_until_us[NODES_MAX];
    unsigned loss_percent, repeat_percent;
    unsigned half_open_percent; /* of connections that end late when a node crashes */
    uint64_t packets, lost, repeated, stalled, late; /* late: of a closed connection */
    LIST_HEAD(, connection) connections;
};

void network_init(struct network *n,
                  struct world *w,
                  unsigned nodes,
                  struct network_calls calls);
void network_finish(struct network *n);

struct connection *
network_connect(struct network *n, unsigned from, unsigned to, bool lossy);
/* Send from `end`; copies. */
void network_send(struct connection *c, int end, struct bytes bytes);
/* The network breaks it: both ends that live hear of it after a moment; what is in flight is
 * lost. */
void network_close(struct connection *c);
/* An end closes it: that one gets nothing any more, the other one perhaps what is in flight. */
void network_hang_up(struct connection *c, int end);

void network_cut(struct network *n, unsigned from, unsigned to, bool cut);
/* The node stops existing: its connections close. */
void network_crash(struct network *n, unsigned node);
/* It stands still until then.  False, and nothing changes, when it does already. */
bool network_pause(struct network *n, unsigned node, uint64_t until_us);
bool network_reachable(const struct network *n, unsigned a, unsigned b); /* both ways */

#endif
