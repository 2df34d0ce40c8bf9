/* seeds_fsm.c - first inputs for the fuzz targets of the state machine:
 *     ./tests/fuzz/seeds_fsm tests/fuzz/corpus */
#include "raft_fsm/fsm.h"
#include "tests/lib/fsm_workload.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEDS        3
#define CHOICES      600
#define SNAPSHOT_MAX 5000

static void
write_file(const char *directory, const char *target, unsigned seed, struct bytes bytes)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s/seed-%u", directory, target, seed);
    f = fopen(path, "wb");
    if (f == NULL || fwrite(bytes.data, 1, bytes.size, f) != bytes.size ||
        fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

/* A small snapshot with something in every table; false if this seed does not give one. */
static bool make_snapshot(uint64_t seed, struct buffer *out)
{
    struct state *s = state_create();
    struct buffer entry = {0};
    struct workload w;
    bool full;

    workload_init(&w, seed);
    for (uint64_t i = 1; i <= 60; i++) {
        workload_entry(&w, s, &entry);
        fsm_apply(s, i, 1, buffer_view(&entry), NULL);
    }
    buffer_clear(out);
    snapshot_begin(s);
    while (snapshot_next(s, out, 4096))
        ;
    full = !RB_EMPTY(&s->attempts) && s->tombstone_count > 0;
    state_destroy(s);
    workload_finish(&w);
    buffer_finish(&entry);
    return full && out->size < SNAPSHOT_MAX;
}

/* Choices for fuzz_apply. */
static void make_choices(uint64_t seed, struct buffer *out)
{
    struct rng r = {seed};

    buffer_clear(out);
    for (int i = 0; i < CHOICES; i++)
        buffer_append_u8(out, (uint8_t)rng_below(&r, 256));
}

int main(int argc, char **argv)
{
    struct buffer out = {0};
    uint64_t seed = 1;

    if (argc != 2) {
        fprintf(stderr, "usage: seeds_fsm DIRECTORY\n");
        return 2;
    }
    for (unsigned n = 1; n <= SEEDS; n++) {
        make_choices(n, &out);
        write_file(argv[1], "fuzz_apply", n, buffer_view(&out));
        while (!make_snapshot(seed++, &out))
            ;
        write_file(argv[1], "fuzz_snapshot", n, buffer_view(&out));
    }
    buffer_finish(&out);
    return 0;
}
