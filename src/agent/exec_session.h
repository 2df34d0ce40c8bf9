/* exec_session.h - one command inside a running task, and what carries its bytes
 * (docs/spec/11-exec.md).
 *
 * The agent and a session process speak over a SOCK_SEQPACKET pair of their own; each
 * message is one struct exec_word and up to LIMIT_EXEC_CHUNK_BYTES behind it.  The end of
 * the socket is the end of the session.  Bytes are in this machine's order: it never
 * leaves it.
 */
#ifndef AGENT_EXEC_SESSION_H
#define AGENT_EXEC_SESSION_H

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum exec_word_kind {
    /* to the session process */
    EXEC_WORD_INPUT, /* bytes follow; a window's worth of them at most, see CREDIT */
    EXEC_WORD_CLOSE_INPUT, /* no more of them */
    EXEC_WORD_RESIZE,      /* a: rows, b: columns */
    /* from it */
    EXEC_WORD_OUTPUT,   /* a: 1 or 2; bytes follow, a window's worth of them at most */
    EXEC_WORD_STARTED,  /* the first word, or NOT_STARTED is */
    EXEC_WORD_EXITED,   /* a: exit status.  The last word, as are the next two */
    EXEC_WORD_SIGNALED, /* a: signal */
    EXEC_WORD_NOT_STARTED, /* a: 126 or 127; a text follows */
    /* both */
    EXEC_WORD_CREDIT, /* a: so many bytes of yours have left me */
};

struct exec_word {
    uint32_t kind; /* enum exec_word_kind */
    uint32_t a, b;
};

#define EXEC_WORD_MAX (sizeof(struct exec_word) + LIMIT_EXEC_CHUNK_BYTES)

/* What the command gets as its standard files. */
struct exec_files {
    int in; /* -1: what this process has, /dev/null */
    int out, err;
    bool terminal; /* all three are one, which is to control its session */
};

struct exec_session {
    int socket; /* to the agent */
    bool terminal;
    bool input; /* some will come */
    uint16_t rows, columns;
    unsigned patience_ms; /* for what is left at the end (reaper.h) */
    uid_t owner;          /* of the terminal */
    const char *name;     /* of the command, for people */
    /* Start it as a process of the run that leads a session and dies with this process: 0
     * and its pid when it runs, or errno and the step that failed, "exec" for the last. */
    int (*spawn)(void *user,
                 const struct exec_files *files,
                 pid_t *pid,
                 const char **step);
    /* The master of its terminal: -1 and errno; NULL: one of this host. */
    int (*open_terminal)(void *user);
    void *user;
};

/* Start it, carry its bytes, tell how it ended; does not return.  For a process without
 * threads in which all signals are blocked and which has nothing else to do. */
_Noreturn void exec_session_run(const struct exec_session *session);

#endif
