/* message_role.h - what clients ask about roles and masters answer. */
#ifndef WIRE_MESSAGE_ROLE_H
#define WIRE_MESSAGE_ROLE_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/message_client.h"
#include "wire/role.h"

#include <stdbool.h>
#include <stdint.h>

/* role_set: [packed role_change]; role_remove: [name].  The result of both is that of kill,
 * with the index alone. */
void role_set_pack(const struct role_change *c, uint32_t id, struct buffer *out);
/* A view of the packed change, which was checked. */
int role_set_unpack(struct bytes *change, struct bytes params, struct error *err);
void role_remove_pack(const char *name, uint32_t id, struct buffer *out);
int role_remove_unpack(struct bytes *name, struct bytes params, struct error *err);

/* roles: one element for each role, by number. */
struct role_info {
    uint32_t number;
    struct bytes spec;     /* packed role_change with everything given */
    uint64_t jobs;         /* that have it */
    struct resources used; /* at most LIMIT_RESOURCE of each */
    struct custom_view custom[LIMIT_LISTED_CUSTOM]; /* the first ones, by name */
    size_t custom_count;
    uint64_t share; /* dominant, weighted, in 10^-12; 0 unless a leader answers */
};
void role_info_pack(struct list_writer *w, const struct role_info *r);
bool role_info_next(const struct list_result *l,
                    struct command_cursor *at,
                    struct role_info *out);
/* For list_result_unpack(). */
void role_info_read(struct unpack *u, void *out);

#endif
