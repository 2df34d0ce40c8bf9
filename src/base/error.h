/* error.h - the one way in which Triarch reports that something went wrong.
 *
 * A function that can fail for a reason in the world (input, disk, network, a peer) returns 0
 * or a negative error_code and fills the caller's `struct error` with one line that says what
 * failed, why, and where possible what to do.  error_set() returns that negative code, so
 * reporting is one statement:
 *
 *     if (fd < 0)
 *         return error_set(err, ERROR_IO, "open %s: %s", path, strerror(errno));
 *
 * Mistakes of our own are assertions (assert.h), never errors.  Nothing here allocates.
 * The numbers travel on the wire and stay as they are; new ones go to the end.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#define ERROR_TEXT_MAX 512 /* bytes, with the terminating zero */

#define ERROR_CODES(X)                                                                 \
    X(1, INVALID, "invalid")              /* the input breaks a rule: do not repeat */ \
    X(2, TOO_LARGE, "too_large")          /* over a named limit (limits.h) */          \
    X(3, NOT_FOUND, "not_found")          /* no such job, task, agent, file */         \
    X(4, CONFLICT, "conflict")            /* the key or id is taken by another */      \
    X(5, BUSY, "busy")                    /* full for now: repeat later */             \
    X(6, NOT_LEADER, "not_leader")        /* ask the leader; not in the log */         \
    X(7, UNKNOWN, "unknown")              /* outcome unknown: repeat with the key */   \
    X(8, UNAVAILABLE, "unavailable")      /* nobody answers, or no quorum */           \
    X(9, TIMEOUT, "timeout")              /* the deadline passed */                    \
    X(10, IO, "io")                       /* the operating system said no */           \
    X(11, CORRUPT, "corrupt")             /* bytes that do not verify */               \
    X(12, WRONG_CLUSTER, "wrong_cluster") /* a member of another cluster */            \
    X(13, VERSION, "version")             /* a format or protocol we do not speak */   \
    X(14, USAGE, "usage")                 /* wrong command line: exit status 2 */      \
    X(15, INTERNAL, "internal")           /* a bug that was contained */               \
    X(16, CHANGED, "changed")             /* not as it was when somebody looked */

enum error_code {
    ERROR_NONE = 0,
#define X(number, name, text) ERROR_##name = number,
    ERROR_CODES(X)
#undef X
};

struct error {
    enum error_code code;
    char text[ERROR_TEXT_MAX];
};

/* Fill *err (which may be NULL) and return -code. */
int error_set(struct error *err, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "prefix: " before the text; keeps the code and returns -code. */
int error_wrap(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The stable name of a code ("busy"); "ok" for 0, "internal" for an unknown number. */
const char *error_name(enum error_code code);

/* The code of a name, or ERROR_INTERNAL. */
enum error_code error_code_of(const char *name);

#endif
