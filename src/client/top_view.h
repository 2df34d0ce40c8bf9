/* top_view.h - what `triarch top` knows at one time, and how it looks. */
#ifndef CLIENT_TOP_VIEW_H
#define CLIENT_TOP_VIEW_H

#include "client/screen.h"
#include "wire/message.h"

#include <jansson.h>

enum top_order { TOP_BY_CPU, TOP_BY_MEMORY };

struct top_task {
    struct usage_info info; /* its name is `name` */
    char *name;             /* owned */
    bool is_limited;        /* in memory, as far as known: its agent enforces limits */
};

struct top_agent {
    uint64_t id;
    enum agent_state state;
    char *hostname;                    /* owned */
    uint64_t cpus_milli, memory_bytes; /* that it has */
    bool limits;                       /* it enforces them */
    uint32_t tasks;
    uint64_t used_milli, used_bytes; /* by its tasks, as far as known */
};

/* Zeroed is empty. */
struct top_view {
    uint64_t now_us; /* wall clock */
    struct top_agent *agents;
    size_t agent_count, agent_capacity;
    struct top_task *tasks;
    size_t task_count, task_capacity;
    uint64_t left_out; /* tasks beyond LIMIT_TOP_TASKS */
};

void top_view_finish(struct top_view *v); /* empty again */

int top_view_add_agent(struct top_view *v,
                       const struct agent_info *a,
                       struct error *err);
void top_view_add_task(struct top_view *v, const struct usage_info *info);
/* Once, when all are there: sum up and sort; and sort it in another way. */
void top_view_complete(struct top_view *v, enum top_order order);
void top_view_sort(struct top_view *v, enum top_order order);

/* Two tables; lines: of both at most, with their heads (0: all). */
void top_view_print(const struct top_view *v, struct screen *s, unsigned lines);
json_t *top_view_json(const struct top_view *v); /* a new reference */

#endif
