/* match.h - which agents a job's tasks may run on, and which they would rather have
 * (docs/spec/9-jobs.md, docs/spec/7-scheduling.md).
 *
 * A condition is about one attribute of an agent, as it registered, or about one that every
 * agent has: `host` is its host's name and `agent` its id, unless it has an attribute of that
 * name.  Values are text.  Zeroed is a job that takes any agent.
 */
#ifndef WIRE_MATCH_H
#define WIRE_MATCH_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"
#include "wire/pack.h"
#include "wire/regexp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MATCH_HOST  "host"
#define MATCH_AGENT "agent"

/* Numbers are in the log for ever. */
#define MATCH_OPS(X)                         \
    X(1, EQUAL, "=")                         \
    X(2, NOT_EQUAL, "!=")                    \
    X(3, LESS, "<") /* as decimal numbers */ \
    X(4, AT_MOST, "<=")                      \
    X(5, MORE, ">")                          \
    X(6, AT_LEAST, ">=")                     \
    X(7, IN, "in")                           \
    X(8, NOT_IN, "not_in")                   \
    X(9, REGEXP, "regexp")                   \
    X(10, VERSION, "version")                \
    X(11, IS_SET, "is_set")                  \
    X(12, IS_NOT_SET, "is_not_set")          \
    X(13,                                    \
      DISTINCT,                              \
      "distinct") /* how many tasks of the job at most on agents of one value */

enum match_op {
#define X(number, name, text) MATCH_##name = number,
    MATCH_OPS(X)
#undef X
        MATCH_OP_END
};

const char *match_op_name(enum match_op op);
/* 0: there is none of this name. */
enum match_op match_op_of(const char *name);

struct condition {
    char *attribute;
    enum match_op op;
    char **values; /* one; several for IN and NOT_IN; none for IS_SET and the like */
    size_t count;
    uint32_t most;  /* DISTINCT, in place of a value */
    int32_t weight; /* of an affinity: not 0; below it: better where it does not hold */
};

struct spread {
    char *attribute;
    uint32_t weight;
};

/* Not where a task of a job of this name, in the same role, is. */
struct apart {
    char *job;
    uint32_t weight; /* 0: never there; else it would rather not be */
};

struct match {
    struct condition *constraints; /* all hold */
    size_t constraint_count;
    struct condition *affinities;
    size_t affinity_count;
    struct spread *spreads;
    size_t spread_count;
    struct apart *aparts;
    size_t apart_count;
};

#define MATCH_WEIGHT 50 /* where none is given */

void match_finish(struct match *m); /* zeroed is fine */
static inline bool match_is_empty(const struct match *m)
{
    return m->constraint_count + m->affinity_count + m->spread_count + m->apart_count ==
           0;
}

/* A zeroed one at the end, to be filled; the address is good until the next is added. */
struct condition *match_add_constraint(struct match *m);
struct condition *match_add_affinity(struct match *m);
struct spread *match_add_spread(struct match *m);
struct apart *match_add_apart(struct match *m);
void condition_finish(struct condition *c);
void condition_copy(struct condition *to, const struct condition *from);
void condition_add_value(struct condition *c, char *owned);

/* Texts in it, with what each takes in a packed job besides. */
size_t match_text_bytes(const struct match *m);
/* Every rule but that regular expressions compile, which no state may rest on; the error
 * begins with the field. */
int match_check(const struct match *m, struct error *err);
/* That they do, for who makes a job. */
int match_check_regexps(const struct match *m, struct error *err);

void match_pack(const struct match *m, struct buffer *out);
/* One of the constraints. */
void condition_pack(const struct condition *c, struct buffer *out);
void match_unpack(struct match *m, struct unpack *u);
/* Whether these bytes, which are whole and good, or empty, have DISTINCT. */
bool match_bytes_distinct(struct bytes packed);

/* "rack = a", "gen >= 3", "rack in a, b", "os regexp ^deb", "kernel version >= 5.10", "ssd is_set",
 * "rack distinct 2", "host distinct"; spaces around symbols may be left out.  A weight stands behind
 * the last colon: "zone = b:50", "rack:50" (match_parse_spread), "db" or "db:50"
 * (match_parse_apart).  *c is zeroed before and filled also on failure. */
int condition_parse(struct condition *c, const char *text, struct error *err);
int affinity_parse(struct condition *c, const char *text, struct error *err);
int spread_parse(struct spread *s, const char *text, struct error *err);
int apart_parse(struct apart *a, const char *text, struct error *err);
/* As it is parsed, without a weight. */
void condition_print(const struct condition *c, struct buffer *out);

/* Whether an agent with this value (NULL: it has no such attribute) keeps it; `re` is its
 * regular expression, compiled, or NULL when it is none or does not compile: then nothing
 * keeps it.  *steps as in regexp_finds().  Not for DISTINCT. */
bool condition_holds(const struct condition *c,
                     const char *value,
                     const struct regexp *re,
                     unsigned *steps);

#endif
