/* fsm_test.h - a state machine under test: commands as calls, every invariant after each.
 *
 * Each call makes one entry of one command, applies it and returns its result; fsm_entry()
 * applies several in one entry.  Time moves on by a millisecond with each entry.
 */
#ifndef TESTS_UNIT_RAFT_FSM_FSM_TEST_H
#define TESTS_UNIT_RAFT_FSM_FSM_TEST_H

#include "raft_fsm/fsm.h"

#include <check.h>
#include <stdint.h>

#define START_US 1700000000000000ull
#define HOUR_US  (3600ull * 1000000)

struct fsm {
    struct state *state;
    struct outcome out; /* of the last entry */
    size_t work;        /* likewise */
    uint64_t now_us;
    uint8_t version; /* of entries; 0: the newest */
    struct buffer entry;
};

/* fsm_setup() gives one that is founded. */
void fsm_setup_empty(struct fsm *f);
void fsm_setup(struct fsm *f);
void fsm_teardown(struct fsm *f);

/* Apply f->entry as it is. */
void fsm_apply_entry(struct fsm *f);
/* Apply these commands as one entry; the result of the last. */
struct result fsm_entry(struct fsm *f, const struct command *commands, size_t count);
/* The same without the check of the whole state. */
struct result
fsm_entry_fast(struct fsm *f, const struct command *commands, size_t count);
struct result fsm_run(struct fsm *f, const struct command *c);

struct result fsm_found(struct fsm *f);
struct result fsm_submit(struct fsm *f, const char *key, uint32_t instances);
struct result fsm_submit_spec(struct fsm *f, const char *key, struct bytes spec);
/* Packs the spec and ends its life. */
struct result fsm_submit_job(struct fsm *f, const char *key, struct job_spec *spec);
struct result fsm_kill(struct fsm *f, uint64_t job);
struct result fsm_register(struct fsm *f, char key, uint64_t cpus);
/* With these features; an agent of the first version has none. */
struct result
fsm_register_able(struct fsm *f, char key, uint64_t cpus, uint32_t features);
struct result fsm_reregister(struct fsm *f, uint64_t agent, char key, uint64_t cpus);
struct result fsm_unreachable(struct fsm *f, uint64_t agent);
struct result fsm_gone(struct fsm *f, uint64_t agent);
struct result
fsm_mode(struct fsm *f, uint64_t agent, enum agent_mode mode, uint64_t deadline_ms);
struct result fsm_drain_due(struct fsm *f, uint64_t agent);
struct result
fsm_retry(struct fsm *f, uint64_t job, uint32_t instance, uint32_t attempt);
struct result fsm_lapse(struct fsm *f, uint64_t attempt);
struct result fsm_place(struct fsm *f, uint64_t job, uint32_t instance, uint64_t agent);
struct result fsm_place_all(struct fsm *f, const struct placement *p, uint32_t count);
struct result
fsm_update(struct fsm *f, uint64_t agent, uint64_t attempt, enum task_state state);
struct result fsm_purge(struct fsm *f, uint64_t job);
struct result fsm_expire(struct fsm *f, uint64_t before_us);

/* Canonical specs; the caller finishes the buffer.  cpus are whole ones. */
void job_bytes(struct buffer *out, const char *name, uint32_t instances, uint64_t cpus);
void agent_bytes(struct buffer *out, char key, uint64_t cpus);
void agent_key(uint8_t key[16], char c);

/* How often the last entry had this effect. */
unsigned fsm_effects(const struct fsm *f, enum effect_kind kind, uint64_t id);

/* The whole snapshot at once. */
void fsm_snapshot(const struct state *s, struct buffer *out);
struct state *fsm_restored(struct bytes snapshot);

/* Code and id of what a call returns. */
#define ck_result(call, expected_code, expected_id)                         \
    do {                                                                    \
        struct result ck_r = (call);                                        \
        ck_assert_str_eq(error_name(ck_r.code), error_name(expected_code)); \
        ck_assert_uint_eq(ck_r.id, (expected_id));                          \
    } while (0)
#define ck_done(call, expected_id)  ck_result(call, ERROR_NONE, expected_id)
#define ck_rejected(call, expected) ck_result(call, expected, 0)

/* A rejected command leaves all but index and stamp as it was. */
#define ck_changes_nothing(f, call)                    \
    do {                                               \
        struct buffer ck_before = {0}, ck_after = {0}; \
        fsm_objects((f)->state, &ck_before);           \
        call;                                          \
        fsm_objects((f)->state, &ck_after);            \
        ck_same_bytes(&ck_before, &ck_after);          \
        buffer_finish(&ck_before);                     \
        buffer_finish(&ck_after);                      \
    } while (0)
void ck_same_bytes(const struct buffer *expected, const struct buffer *seen);
/* The snapshot without its header and globals, which name index and stamp. */
void fsm_objects(const struct state *s, struct buffer *out);

#endif
