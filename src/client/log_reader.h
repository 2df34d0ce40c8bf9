/* log_reader.h - one task's log, read to its end, or followed (joint 14).
 *
 * The leader tells the task's attempt and the HTTP address of its agent; the log comes from the
 * agent.  When the connection breaks, the leader is asked again and the log goes on at the byte
 * after the last one seen, or from the start of the next attempt, on another agent perhaps.  An
 * agent that says nothing may have nothing to say, or hang: the leader is asked meanwhile
 * whether the task is still there.  An earlier attempt is its agent's business alone.
 */
#ifndef CLIENT_LOG_READER_H
#define CLIENT_LOG_READER_H

#include "client/session.h"
#include "client/task_http.h"

struct log_reader_options {
    struct session *session;
    uint64_t job;
    uint32_t instance;
    bool follow;
    const char *file;  /* "stdout" or "stderr" */
    const char *where; /* parameters for where to begin: "&lines=7"; or "" */
    /* Where an earlier attempt was, which is read and not followed; NULL: the newest. */
    const struct task_place *earlier;
};

struct log_reader_events {
    void (*piece)(void *user, struct bytes piece);
    /* For people: it goes on elsewhere, or has to wait. */
    void (*note)(void *user, const char *text);
    /* Once: ERROR_NONE when all was read. */
    void (*ended)(void *user, const struct error *reason);
};

struct log_reader;

/* Options are copied, texts and events are not.  Nothing is told before the loop runs. */
struct log_reader *log_reader_create(const struct log_reader_options *options,
                                     const struct log_reader_events *events,
                                     void *user);
/* Of the attempt that is read: the offset in its log of the first byte that was told. */
uint64_t log_reader_begin(const struct log_reader *l);
/* Its requests to masters may not be under way any more unless the program ends: NULL is fine. */
void log_reader_destroy(struct log_reader *l);

#endif
