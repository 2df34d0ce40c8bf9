/* fit_signature.c - numbers that never fall when an amount rises (fit_tree.h). */
#include "sched/fit_page.h"

#include "base/assert.h"
#include "base/limits.h"
#include "sched/log2.h"

/* 0 of 0, which is less than any other. */
static int log_of(uint64_t amount)
{
    ASSERT(amount <= LIMIT_RESOURCE);
    return amount == 0 ? 0 : log2_of(amount) + 1;
}

uint16_t fit_number_of_need(uint64_t amount)
{
    return (uint16_t)(UINT16_MAX - log_of(amount));
}

void fit_turn(struct fit_signature *s)
{
    s->bits = ~s->bits;
    for (int i = 0; i < FIT_NUMBERS; i++)
        s->numbers.of[i] = (uint16_t)(UINT16_MAX - s->numbers.of[i]);
}

/* For a thousandth of a cpu there are 2^18 (256 MiB for a cpu) to 2^26 bytes (64 GiB). */
#define MEM_PRICE_FIRST 18
#define MEM_PRICES      9
#define DISK_PRICE      25    /* 32 GiB of disk for a cpu */
#define GPU_PRICE       (-64) /* one counts for more than any amount of the others */

/* The lesser of two logarithms, the second one divided by its price. */
static uint16_t lesser(int a, int b, int price)
{
    int priced = b == 0 ? 0 : b - price * LOG2_ONE;
    int low = a < priced ? a : priced;

    return low > 0 ? (uint16_t)low : 0;
}

struct fit_signature fit_sign(const struct fit_tree *t,
                              const struct resources *r,
                              uint64_t bits,
                              struct fit_set set)
{
    struct fit_signature s = {.bits = bits, .set = set};
    int cpus = log_of(r->amount[RESOURCE_CPUS]);
    int mem = log_of(r->amount[RESOURCE_MEM]);
    int disk = log_of(r->amount[RESOURCE_DISK]);
    int gpus = log_of(r->amount[RESOURCE_GPUS]);
    int i = 0;

    if (!t->of_needs)
        fit_set_add(&s.set, FIT_SET_BITS);
    else if ((set.word[0] | set.word[1]) == 0)
        s.set = fit_set_all();
    s.numbers.of[i++] = (uint16_t)cpus;
    s.numbers.of[i++] = (uint16_t)mem;
    s.numbers.of[i++] = (uint16_t)disk;
    s.numbers.of[i++] = (uint16_t)gpus;
    s.numbers.of[i++] = lesser(cpus, gpus, GPU_PRICE);
    s.numbers.of[i++] = lesser(mem, gpus, GPU_PRICE);
    s.numbers.of[i++] = lesser(cpus, disk, DISK_PRICE);
    for (int price = 0; price < MEM_PRICES; price++)
        s.numbers.of[i++] = lesser(cpus, mem, MEM_PRICE_FIRST + price);
    ASSERT(i == FIT_NUMBERS);
    if (t->of_needs)
        fit_turn(&s);
    return s;
}

struct fit_signature fit_page_all(const struct fit_page *p)
{
    struct fit_signature all = {p->numbers[0], p->bits[0], p->set[0]};

    for (unsigned i = 1; i < p->count; i++) {
        fit_raise(&all.numbers, &p->numbers[i]);
        all.bits |= p->bits[i];
        fit_set_join(&all.set, &p->set[i]);
    }
    return all;
}
