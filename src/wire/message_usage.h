/* message_usage.h - what runs use: agents tell the leader, the leader tells clients.
 *
 * Outside of the log: a leader keeps what it heard last, and a new one hears it anew.
 */
#ifndef WIRE_MESSAGE_USAGE_H
#define WIRE_MESSAGE_USAGE_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/command.h"
#include "wire/message_client.h"
#include "wire/rpc.h"

#include <stdbool.h>
#include <stdint.h>

struct usage_report {
    uint64_t attempt;
    uint64_t cpu_us; /* since its start; so are read and written */
    uint64_t memory_bytes, memory_peak_bytes;
    uint64_t read_bytes, written_bytes;
    uint32_t cpu_milli; /* thousandths of a cpu, from the sample before the last on */
    uint32_t pids;
};

/* usage (agent to master, notify): [agent, part, parts, [report…]], attempts ascending over all
 * parts; at most LIMIT_USAGE_REPORTS in one.  All parts replace what was told before. */
struct usage_list {
    uint64_t agent;
    uint32_t part, parts;
    uint32_t count;
    struct bytes packed;
};
void usage_pack(uint64_t agent,
                uint32_t part,
                uint32_t parts,
                const struct usage_report *reports,
                uint32_t count,
                struct buffer *out);
int usage_unpack(struct usage_list *out, struct bytes params, struct error *err);
bool usage_next(const struct usage_list *list,
                struct command_cursor *at,
                struct usage_report *out);

/* usage (client to master, a listing): one element for each attempt that runs, by id. */
struct usage_info {
    struct usage_report report; /* the attempt; the rest is 0 if it is not known */
    bool known;
    uint64_t job;
    uint32_t instance;
    uint64_t agent;
    struct bytes name;
    uint64_t placed_us;
    uint32_t cpus_milli;  /* it was given */
    uint64_t limit_bytes; /* of memory */
};
void usage_info_pack(struct list_writer *w, const struct usage_info *i);
bool usage_info_next(const struct list_result *l,
                     struct command_cursor *at,
                     struct usage_info *out);
/* For list_result_unpack(). */
void usage_info_read(struct unpack *u, void *out);

#endif
