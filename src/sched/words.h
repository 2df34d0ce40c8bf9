/* words.h - what explanations are made of: amounts, needs, and what agents can do.
 *
 * A text that is longer than its room is cut at a character, with an ellipsis.
 */
#ifndef SCHED_WORDS_H
#define SCHED_WORDS_H

#include "sched/fleet.h"

struct text {
    char *at;
    size_t room; /* with the zero at the end */
};

__attribute__((format(printf, 2, 3))) void say(struct text *t, const char *format, ...);
/* The text, which is longer, ends before the first character that is not whole within so many
 * bytes, and an ellipsis says so; its size. */
size_t words_cut(char *text, size_t max);

/* 1500 -> "1.5" */
void say_thousandths(struct text *t, uint64_t amount);
/* Of a kind, in the unit of users, without it; `up`: what is needed, which is rounded up. */
void say_amount(struct text *t, int kind, uint64_t amount, bool up);
/* "1.5 cpus" */
void say_need(struct text *t, int kind, uint64_t amount);
/* "2 licence" */
void say_custom(struct text *t, const struct custom_resource *r);
/* "2 cpus, 4096 MiB, port 8080, 1 licence" */
void say_needs(struct text *t, const struct demand *d);
/* What the first of these features lets an agent do. */
const char *ability_word(uint32_t features);

#endif
