/* custom.h - resources that are not built in: licences, slots of a device.
 *
 * Who has them and who takes them agree on a name; the cluster only counts. */
#ifndef WIRE_CUSTOM_H
#define WIRE_CUSTOM_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/pack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct custom_resource {
    char *name;      /* owned: 1 to LIMIT_CUSTOM_BYTES letters, digits, '-', '_', '.' */
    uint64_t amount; /* thousandths; above 0 */
};

/* Sorted by name, names distinct; zeroed is none. */
struct custom_resources {
    struct custom_resource *items; /* owned */
    size_t count;
};

void custom_resources_finish(struct custom_resources *c);
/* Keeps the order; what is wrong is for custom_resources_check() to find. */
void custom_resources_add(struct custom_resources *c,
                          const char *name,
                          uint64_t amount);
/* NULL if it is not there. */
struct custom_resource *custom_resources_find(const struct custom_resources *c,
                                              const char *name);
/* Thousandths of that name, 0 if it is not among them. */
uint64_t custom_resources_amount(const struct custom_resources *c, const char *name);
/* Its own copy of all of it, and a fixed order. */
void custom_resources_copy(struct custom_resources *to,
                           const struct custom_resources *from);
int custom_resources_compare(const struct custom_resources *a,
                             const struct custom_resources *b);
/* Use of them: what is taken is added to a name or begins one; what is given back was taken
 * before (assertion), and a name of which nothing is left ends. */
void custom_resources_take(struct custom_resources *c, const struct custom_resource *r);
void custom_resources_give(struct custom_resources *c, const struct custom_resource *r);
/* Names and amounts; the error begins with "custom: ". */
int custom_resources_check(const struct custom_resources *c, struct error *err);
void custom_resources_pack(const struct custom_resources *c, struct buffer *out);
void custom_resources_unpack(struct custom_resources *c, struct unpack *u);

#endif
