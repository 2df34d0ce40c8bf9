/* task_http.h - what the agent that has a task tells of it over HTTP (joint 14). */
#ifndef CLIENT_TASK_HTTP_H
#define CLIENT_TASK_HTTP_H

#include "client/session.h"
#include "net/address.h"

struct task_place {
    uint64_t job;
    uint32_t instance;
    uint32_t number; /* of the attempt: the newest, unless another one was looked for */
    uint64_t attempt; /* its id */
    uint64_t agent;
    struct address address; /* of its HTTP listener */
};

/* Read an operand that names a task.  `whole`: what JOB alone stands for, in the error. */
int task_operand(const char *text,
                 const char *whole,
                 uint64_t *job,
                 uint32_t *instance,
                 struct error *err);

/* Ask the leader where the task JOB.INSTANCE (or JOB: its first one) is or was. */
int task_place_find(struct session *s,
                    const char *text,
                    struct task_place *out,
                    struct error *err);

/* The same of a task by its numbers. */
int task_place_of(struct session *s,
                  uint64_t job,
                  uint32_t instance,
                  struct task_place *out,
                  struct error *err);

/* GET /tasks/ATTEMPT/`path` (encoded, with its parameters); the body of a good answer goes to
 * `piece`.  An agent that does not answer in HTTP_SILENCE_MS, or then says nothing for --timeout,
 * is given up. */
int task_http_get(struct session *s,
                  const struct task_place *place,
                  const char *path,
                  void (*piece)(void *user, struct bytes piece),
                  void *user,
                  struct error *err);

/* The same of an answer that is one JSON document of at most `max` bytes; NULL with an error. */
json_t *task_http_get_json(struct session *s,
                           const struct task_place *place,
                           const char *path,
                           size_t max,
                           struct error *err);

/* What an answer that is an error says of itself: {"error": {"message"}}, or its status. */
int task_http_refused(struct error *err,
                      uint64_t job,
                      uint32_t instance,
                      uint64_t agent,
                      unsigned status,
                      struct bytes said);

/* A path of a file with all but its slashes percent-encoded. */
void task_http_encode(struct buffer *out, const char *path);

#endif
