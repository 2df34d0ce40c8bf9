/* attempt_find.h - earlier attempts of a task: which one is meant, and who has it.
 *
 * The leader knows where the newest attempt is or was.  Of an earlier one only the agent that had
 * it knows, as long as it keeps its sandbox: so all agents are asked.
 */
#ifndef CLIENT_ATTEMPT_FIND_H
#define CLIENT_ATTEMPT_FIND_H

#include "client/session.h"
#include "client/task_http.h"

/* For commands that show an attempt. */
#define ATTEMPT_OPTIONS                                                                \
    {.name = "attempt",                                                                \
     .kind = OPTION_NUMBER,                                                            \
     .argument = "N",                                                                  \
     .min = 1,                                                                         \
     .max = UINT32_MAX,                                                                \
     .help = "of attempt N, from 1, as `status` numbers them, and not of the newest"}, \
    {                                                                                  \
        .name = "previous", .letter = 'p', .kind = OPTION_FLAG,                        \
        .help = "of the attempt before the newest"                                     \
    }

/* For their help. */
#define ATTEMPT_DETAILS                                                                \
    "A task that was started anew on an agent (rescheduled, moved) has a new "         \
    "attempt; "                                                                        \
    "the agents keep the files of the earlier ones for days, and are asked for them. " \
    "A restart by the agent itself is no new attempt: files and logs go on."

/* True if another attempt than the newest may be meant. */
bool attempt_is_named(const struct options *o);

/* Not both options. */
int attempt_check(const struct options *o, struct error *err);

/* Which one is meant of a task whose newest attempt has that number; false: it has none such. */
bool attempt_number(const struct options *o, uint32_t newest, uint32_t *out);

/* Replace the newest attempt of a task by the one that is meant.  --timeout bounds it. */
int attempt_find(struct session *s, struct task_place *place, struct error *err);

#endif
