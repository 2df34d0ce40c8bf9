/* founding.c - how an empty cluster becomes one (joint 2).
 *
 *   EMPTY    nothing on disk.  When every listed master is connected and says EMPTY or AGREED,
 *            entry 1 and term 1 are written: the same bytes everywhere
 *   WRITING  until they are durable
 *   AGREED   a member of the group, but the cluster has no id: nothing is served.  The leader
 *            waits until every master is AGREED, then commits `found` with a random id
 *   MEMBER   the id is known
 *
 * So nobody can be founded while another is still EMPTY, and an empty directory that meets a
 * MEMBER is one that lost its data: it neither founds nor votes, and says so.
 *
 * Masters tell each other their state over the peer connection, in messages of their own beside
 * the replica's: u8 FOUNDING_MESSAGE, u8 state, 16 bytes hash of --cluster.
 */
#include "master/core/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

#define MESSAGE_BYTES 18

static enum founding said_by_us(const struct master_core *m)
{
    switch (m->founding) {
    case FOUND_EMPTY:
    case FOUND_WRITING:
        return FOUNDING_EMPTY;
    case FOUND_AGREED:
        return FOUNDING_AGREED;
    case FOUND_MEMBER:
        break;
    }
    return FOUNDING_MEMBER;
}

static struct founding_peer *find(struct master_core *m, uint64_t id)
{
    for (unsigned i = 0; i < m->founding_peer_count; i++)
        if (m->founding_peers[i].id == id)
            return &m->founding_peers[i];
    return NULL;
}

static void say(struct master_core *m, uint64_t peer)
{
    struct replica_actions *a = &m->actions->replica;
    struct replica_action *action;

    MEM_GROW(a->items, a->capacity, a->count + 1);
    action = &a->items[a->count++];
    memset(action, 0, sizeof(*action));
    action->kind = REPLICA_SEND;
    action->send.peer = peer;
    buffer_append_u8(&action->send.bytes, FOUNDING_MESSAGE);
    buffer_append_u8(&action->send.bytes, (uint8_t)said_by_us(m));
    buffer_append(&action->send.bytes, m->config.cluster_hash, 16);
}

static void say_to_all(struct master_core *m)
{
    for (unsigned i = 0; i < m->founding_peer_count; i++)
        if (m->founding_peers[i].up)
            say(m, m->founding_peers[i].id);
}

static void tell_replica_of_peer(struct master_core *m,
                                 const struct founding_peer *peer)
{
    struct replica_event event = {.kind = REPLICA_PEER_UP,
                                  .peer_up = {.peer = peer->id,
                                              .incarnation = peer->incarnation,
                                              .leads = peer->leads}};

    core_replica(m, &event);
}

static void create_replica(struct master_core *m)
{
    struct replica_config config = m->config.replica;

    config.id = m->config.id;
    config.voter_count = m->config.member_count;
    for (unsigned i = 0; i < m->config.member_count; i++)
        config.voters[i] = m->config.members[i].id;
    config.entropy = m->entropy[0] ^ m->config.id;
    m->replica = replica_create(&config, machine_of(m));
}

static struct blob *configuration(const struct master_core *m)
{
    uint64_t voters[LIMIT_MASTERS];

    for (unsigned i = 0; i < m->config.member_count; i++)
        voters[i] = m->config.members[i].id;
    return replica_founding_configuration(voters, m->config.member_count);
}

/* Every other master is here and says one of these. */
static bool all_say(const struct master_core *m, enum founding a, enum founding b)
{
    for (unsigned i = 0; i < m->founding_peer_count; i++) {
        const struct founding_peer *p = &m->founding_peers[i];

        if (!p->up || (p->said != a && p->said != b))
            return false;
    }
    return true;
}

static void found_if_all_agree(struct master_core *m)
{
    if (m->founding != FOUND_EMPTY || !all_say(m, FOUNDING_EMPTY, FOUNDING_AGREED))
        return;
    m->founding = FOUND_WRITING;
    core_log(m,
             MASTER_LOG_INFO,
             "all %u masters are here: founding",
             m->config.member_count);
    core_act(m, MASTER_FOUND)->configuration = configuration(m);
}

void founding_start(struct master_core *m, bool empty)
{
    m->founding = empty                 ? FOUND_EMPTY
                  : m->cluster_id_known ? FOUND_MEMBER
                                        : FOUND_AGREED;
    if (!empty) {
        create_replica(m);
        founding_applied(
            m); /* a snapshot tells it if a crash was faster than the log */
        return;
    }
    if (m->founding_peer_count > 0)
        core_log(m,
                 MASTER_LOG_INFO,
                 "empty data directory: waiting for all %u masters before founding",
                 m->config.member_count);
    found_if_all_agree(m);
}

/* Entry 1 is durable: start as a member of the group. */
void founding_written(struct master_core *m)
{
    struct log_entries log = {.first = 1, .count = 1};
    struct replica_event event = {.kind = REPLICA_START,
                                  .start = {.term = 1, .entries = &log}};

    ASSERT(m->founding == FOUND_WRITING);
    m->founding = FOUND_AGREED;
    create_replica(m);
    log.entries = mem_zalloc(sizeof(*log.entries));
    log.entries[0] = (struct log_entry){
        .term = 1, .kind = ENTRY_CONFIGURATION, .payload = configuration(m)};
    core_replica(m, &event);
    for (unsigned i = 0; i < m->founding_peer_count; i++)
        if (m->founding_peers[i].up)
            tell_replica_of_peer(m, &m->founding_peers[i]);
    say_to_all(m);
}

/* As the leader: the cluster gets its id when all are in the group. */
void founding_leading(struct master_core *m)
{
    struct command command = {.kind = COMMAND_FOUND};

    if (!m->leading.active || m->state->globals.founded || m->found_proposed ||
        !all_say(m, FOUNDING_AGREED, FOUNDING_MEMBER))
        return;
    m->found_proposed = true;
    memcpy(command.found.cluster_id, m->entropy, sizeof(command.found.cluster_id));
    propose(m, &command, &(struct origin){.kind = ORIGIN_NONE});
}

void founding_applied(struct master_core *m)
{
    if (m->cluster_id_known || !m->state->globals.founded)
        return;
    m->cluster_id_known = true;
    m->founding = FOUND_MEMBER;
    memcpy(m->cluster_id, m->state->globals.cluster_id, sizeof(m->cluster_id));
    memcpy(core_act(m, MASTER_CLUSTER_ID)->cluster_id,
           m->cluster_id,
           sizeof(m->cluster_id));
    core_act(m, MASTER_ROLE);
    core_log(m, MASTER_LOG_INFO, "the cluster is founded");
    say_to_all(m);
}

void founding_peer_up(struct master_core *m,
                      uint64_t id,
                      uint64_t incarnation,
                      bool leads)
{
    struct founding_peer *peer = find(m, id);

    if (peer == NULL)
        return;
    peer->up = true;
    peer->incarnation = incarnation;
    peer->leads = leads;
    peer->said = 0;
    if (m->replica != NULL)
        tell_replica_of_peer(m, peer);
    say(m, id);
}

void founding_peer_down(struct master_core *m, uint64_t id)
{
    struct founding_peer *peer = find(m, id);
    struct replica_event event = {.kind = REPLICA_PEER_DOWN, .peer_down.peer = id};

    if (peer == NULL)
        return;
    peer->up = false;
    peer->said = 0;
    if (m->replica != NULL)
        core_replica(m, &event);
}

void founding_message(struct master_core *m, uint64_t id, struct bytes bytes)
{
    struct founding_peer *peer = find(m, id);

    if (peer == NULL || bytes.size != MESSAGE_BYTES ||
        bytes.data[0] != FOUNDING_MESSAGE || bytes.data[1] < FOUNDING_EMPTY ||
        bytes.data[1] > FOUNDING_MEMBER ||
        memcmp(bytes.data + 2, m->config.cluster_hash, 16) != 0)
        return;
    peer->said = (enum founding)bytes.data[1];
    if (m->founding == FOUND_EMPTY && peer->said == FOUNDING_MEMBER && !peer->warned) {
        peer->warned = true;
        core_log(m,
                 MASTER_LOG_ERROR,
                 "this data directory is empty, but master %llu belongs to a founded "
                 "cluster: "
                 "this master does not vote; bring its own directory back",
                 (unsigned long long)id);
    }
    found_if_all_agree(m);
    founding_leading(m);
}
