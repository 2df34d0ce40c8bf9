/* seeds_fsm.c - first inputs for the fuzz targets of the state machine and of what masters say
 * to each other:
 *     ./tests/fuzz/seeds_fsm tests/fuzz/corpus */
#include "raft/message.h"
#include "raft_fsm/fsm.h"
#include "tests/lib/fsm_workload.h"
#include "wire/rpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS        3
#define CHOICES      600
#define CRC_BYTES    4 /* fuzz_peer adds it */
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
    full = state_next_attempt(s, 0) != NULL && s->tombstone_count > 0;
    state_destroy(s);
    workload_finish(&w);
    buffer_finish(&entry);
    return full && out->size < SNAPSHOT_MAX;
}

/* One message of each kind for fuzz_peer. */
static void write_messages(const char *directory)
{
    struct log_entry entries[] = {
        {.term = 2, .kind = ENTRY_NOOP},
        {.term = 3,
         .kind = ENTRY_COMMANDS,
         .payload = blob_copy((struct bytes){(const uint8_t *)"commands", 8})}};
    struct peer_message m = {.term = 3};
    struct buffer out = {0};

    for (m.kind = PEER_APPEND_ENTRIES; m.kind <= PEER_CONFIRMED; m.kind++) {
        memset(&m.append, 0, sizeof(m.append));
        if (m.kind == PEER_APPEND_ENTRIES) {
            m.append.prev_index = 7;
            m.append.prev_term = 2;
            m.append.entries =
                (struct log_entries){.first = 8, .entries = entries, .count = 2};
        }
        buffer_clear(&out);
        peer_message_pack(&m, &out);
        out.size -= CRC_BYTES;
        write_file(directory, "fuzz_peer", 100 + m.kind, buffer_view(&out));
    }
    blob_unref(entries[1].payload);
    buffer_finish(&out);
}

/* A hello of master 2 for fuzz_mesh, which reads it behind four choices. */
static void write_hello(const char *directory)
{
    uint8_t hash[16];
    const struct hello hello = {.protocol = PROTOCOL_VERSION,
                                .role = HELLO_MASTER,
                                .cluster = {hash, sizeof(hash)},
                                .id = 2,
                                .incarnation = 7,
                                .cluster_hash = {hash, sizeof(hash)},
                                .founding = FOUNDING_EMPTY};
    struct buffer frame = {0}, out = {0};
    struct rpc rpc;

    memset(hash, 0x5a, sizeof(hash));
    hello_pack(&hello, &frame);
    rpc_unpack(&rpc, (struct bytes){frame.data + 4, frame.size - 4}, NULL);
    buffer_append(&out, "\0\0\0", 3);
    buffer_append_u8(&out, (uint8_t)rpc.params.size);
    buffer_append(&out, rpc.params.data, rpc.params.size);
    write_file(directory, "fuzz_mesh", 100, buffer_view(&out));
    buffer_finish(&frame);
    buffer_finish(&out);
}

/* Choices for fuzz_apply, fuzz_peer and fuzz_mesh. */
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
        write_file(argv[1], "fuzz_mesh", n, buffer_view(&out));
        write_file(argv[1], "fuzz_peer", n, buffer_view(&out));
        while (!make_snapshot(seed++, &out))
            ;
        write_file(argv[1], "fuzz_snapshot", n, buffer_view(&out));
    }
    write_messages(argv[1]);
    write_hello(argv[1]);
    buffer_finish(&out);
    return 0;
}
