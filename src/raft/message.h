/* message.h - what masters say to each other about the log, as bytes.
 *
 * Fixed little-endian fields, then CRC32C of all of it: a damaged message is dropped like a
 * lost one.  Snapshots do not travel here (joint 13).  Decoding trusts nothing: counts are
 * checked against the bytes before memory is allocated, and terms against LIMIT_TERM: the term of
 * a message is made durable, and libraft 0.22 dies at its next start of one with 20 digits.
 */
#ifndef RAFT_MESSAGE_H
#define RAFT_MESSAGE_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/log.h"

#include <stdbool.h>
#include <stdint.h>

enum peer_message_kind {
    PEER_APPEND_ENTRIES = 1,
    PEER_APPEND_ENTRIES_RESULT = 2,
    PEER_REQUEST_VOTE = 3,
    PEER_REQUEST_VOTE_RESULT = 4,
    PEER_TIMEOUT_NOW = 5,
    PEER_RESIGN = 6,    /* I was the leader and am not any more (joint 12, rule 6) */
    PEER_CONFIRM = 7,   /* am I still the leader of this term? */
    PEER_CONFIRMED = 8, /* my term is … */
};

struct peer_message {
    enum peer_message_kind kind;
    uint64_t term;
    union {
        struct {
            uint64_t prev_index;
            uint64_t prev_term;
            uint64_t commit;
            struct log_entries entries; /* decoded: owned by the message */
        } append;
        struct {
            uint64_t rejected;
            uint64_t last_index;
        } append_result;
        struct {
            uint64_t last_index;
            uint64_t last_term;
            bool disrupt;
            bool pre_vote;
        } vote;
        struct {
            bool granted;
            bool pre_vote;
        } vote_result;
        struct {
            uint64_t last_index;
            uint64_t last_term;
        } timeout_now;
        struct {
            uint64_t round;
        } confirm, confirmed;
    };
};

/* Appends to out; entries are borrowed. */
void peer_message_pack(const struct peer_message *m, struct buffer *out);
int peer_message_unpack(struct peer_message *m, struct bytes bytes, struct error *err);
void peer_message_finish(struct peer_message *m);

#endif
