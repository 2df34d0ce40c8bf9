/* agent_test.h - a work directory and a launcher with real processes, for tests.
 *
 * Everything runs as an ordinary user: a test that was started by root becomes `nobody`.
 */
#ifndef TESTS_UNIT_AGENT_AGENT_TEST_H
#define TESTS_UNIT_AGENT_AGENT_TEST_H

#include "agent/launcher.h"
#include "agent/shim.h"
#include "agent/users.h"
#include "wire/job.h"

#include <stdbool.h>
#include <sys/types.h>

#define TEST_ATTEMPTS   2048
#define TEST_DISK_BYTES (1ull << 30)
#define TEST_TASK_PIDS  64

struct seen {
    uint64_t disk_bytes; /* when its shim was asked for */
    bool started;
    bool ended;
    uint32_t restarts;
    enum run_end how;
    int code;
    char message[LIMIT_MESSAGE_BYTES + 1];
};

struct agent_test {
    char work_dir[64];
    char shim[80];
    char fetch[80];   /* as triarch-fetch: a script of the test */
    char contain[80]; /* as triarch-contain, likewise; empty: no images */
    const char *root; /* of the launcher's /proc and /sys; NULL: the host's */
    struct users *users;
    struct users_options users_options;
    struct launcher *launcher;
    uint32_t restarts;              /* of the next start */
    bool artifact;                  /* its job has one */
    bool image;                     /* likewise */
    uint64_t lease_ms;              /* likewise, or 0 */
    const char *user;               /* of its job, or NULL */
    const struct job_check *checks; /* and these */
    size_t check_count;
    const uint16_t *ports;
    uint32_t port_count;
    struct seen seen[TEST_ATTEMPTS];
    struct {
        unsigned count; /* of answers; the last one was: */
        uint64_t attempt;
        uint32_t restarts, index;
        bool passed, unasked;
        char message[LIMIT_MESSAGE_BYTES + 1];
    } checked;
    unsigned ended;
    struct error failed;
};

/* The test's own process is inside; so are its children. */
extern struct agent_test t;

void agent_test_setup_as_started(void); /* root stays root */
void agent_test_setup(void);            /* a directory, no launcher yet */
void agent_test_teardown(void);         /* the directory is removed */

/* Because `nobody` may not be able to reach the build tree. */
void test_copy_program(const char *program, const char *path);

void test_launcher_open(void);
void test_launcher_close(void);

/* As the agent does while it hears from a leader: leases begin anew. */
void test_renew_leases(void);

/* Start `sh -c script`, or a command. */
void test_script(uint64_t attempt, const char *script);
void test_command(uint64_t attempt, char *const *argv, char *const *env);
/* Ask for a check of the run, and wait until another answer has come. */
void test_ask(uint64_t attempt, uint32_t index);
void test_wait_checked(void);
/* What triarch-fetch is from now on: a script. */
void test_write_fetch(const char *script);

/* Dispatch until it holds; fails the test when that takes too long. */
void test_wait_started(uint64_t attempt);
void test_wait_ended(uint64_t attempt);
void test_wait_failed(void);
void test_check_end(uint64_t attempt, enum run_end how, int code);

/* Contents of a file in the attempt's sandbox, waiting until it has some. */
void test_read(uint64_t attempt, const char *name, char *text, size_t room);
/* Wait until it is running and wrote a line to `ready` in its sandbox. */
void test_wait_ready(uint64_t attempt);
/* Wait until there is no such process. */
void test_wait_gone(pid_t pid);
/* A number that the task wrote into a file of its sandbox. */
pid_t test_read_pid(uint64_t attempt, const char *name);

/* The slot of an attempt: its number, and its bytes. */
uint32_t test_slot(uint64_t attempt, struct slot *out);
void test_slot_write(uint32_t number, const struct slot *slot);

/* Run play() in a process that has a launcher and stands for the agent, until play() wrote
 * to `ready`; then kill it with SIGKILL. */
void test_agent_killed(void (*play)(void));
/* In play(): the test may go on. */
_Noreturn void test_ready(void);

#endif
