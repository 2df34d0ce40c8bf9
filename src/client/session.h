/* session.h - what one run of the command line works with. */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include "base/options.h"
#include "client/client.h"
#include "client/screen.h"
#include "net/loop.h"
#include "wire/message_client.h"

#include <jansson.h>

struct session {
    const struct options *options;
    struct loop *loop;
    struct client *client;
    struct screen out; /* results */
    struct screen err; /* notes and errors */
};

/* What a command does: its exit status, or a negative error. */
struct subcommand {
    struct option_table table;
    int (*run)(struct session *s, struct error *err);
    int failed; /* the exit status after an error; 0: EXIT_FAILURE */
};

extern const struct subcommand subcommand_run, subcommand_submit, subcommand_wait,
    subcommand_status, subcommand_show, subcommand_kill, subcommand_purge,
    subcommand_logs, subcommand_files, subcommand_top, subcommand_exec,
    subcommand_agents, subcommand_plan, subcommand_dispatch, subcommand_roles, subcommand_failures,
    subcommand_masters, subcommand_version, subcommand_dev;

/* Loop and client for the masters that the user named. */
int session_open(struct session *s, struct error *err);
void session_close(struct session *s);

/* Send a request and wait for its answer.  result is cleared and filled (NULL: not
 * wanted); *repeated (NULL: not wanted) as in client_answer. */
int session_call(struct session *s,
                 struct bytes frame,
                 enum client_route route,
                 struct buffer *result,
                 bool *repeated,
                 struct error *err);

/* The whole of a listing, page by page.  `page` returns 0 to go on, SESSION_ENOUGH when it needs no
 * more. */
#define SESSION_ENOUGH 1
typedef int page_fn(void *user, const struct list_result *page, struct error *err);
int session_list(struct session *s,
                 enum method method,
                 uint64_t of,
                 page_fn *page,
                 void *user,
                 struct error *err);

/* The same with all that may be asked; `after`, `limit` and `stale` are not. */
int session_list_some(struct session *s,
                      enum method method,
                      const struct list_request *wanted,
                      page_fn *page,
                      void *user,
                      struct error *err);

/* kill, purge: the same way for each job. */
int session_change(struct session *s,
                   enum method method,
                   uint64_t id,
                   bool *repeated,
                   struct error *err);

/* Gone for a while is not gone for ever: worth asking again later. */
bool session_is_passing(enum error_code code);

/* One job, or ERROR_NOT_FOUND.  Views point into *page. */
int session_job(struct session *s,
                uint64_t id,
                struct buffer *page,
                struct job_summary *job,
                struct error *err);
/* One task, in the same way. */
int session_task(struct session *s,
                 uint64_t job,
                 uint32_t instance,
                 struct buffer *page,
                 struct task_info *task,
                 struct error *err);

/* What a job was submitted as; *spec is the caller's to finish. */
int session_job_spec(struct session *s,
                     uint64_t job,
                     struct job_spec *spec,
                     struct error *err);
/* What a job was submitted as, as a job file's JSON; NULL with an error. */
json_t *session_spec(struct session *s, uint64_t job, struct error *err);

/* Operand `i` as the id of a job. */
int session_job_operand(const struct session *s,
                        size_t i,
                        uint64_t *job,
                        struct error *err);

/* The same for each operand, all of which are ids of jobs: nothing is done if one is not.  An
 * error of one does not keep the others from it. */
int session_each_job(struct session *s,
                     int (*one)(struct session *s, uint64_t job, struct error *err),
                     struct error *err);

/* One JSON document on stdout; takes the reference. */
void session_write_json(struct session *s, json_t *value);
/* An error in one line on stderr: what, why, what to do. */
void session_error(struct session *s, const struct error *err);
/* A line for people on stderr. */
void session_note(struct session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
