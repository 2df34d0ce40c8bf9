/* fuzz_text.c - what people write into flags: resources, times and any text.
 *
 * Resources are refused with an error, or keep their rules; a time that was read is the one that
 * is shown; what was cleaned may be shown, and is not cleaned twice. */
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/resources.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_resources(const char *text)
{
    struct port_range ranges[LIMIT_PORT_RANGES];
    struct custom_resources custom = {0};
    struct resources amounts = {0};
    size_t count = 0;
    struct error err = {0};
    int rc = resources_parse(&amounts, ranges, &count, &custom, text, &err);

    ASSERT(rc == -(int)err.code);
    if (rc == 0) {
        for (int k = 0; k < RESOURCE_KINDS; k++)
            ASSERT(amounts.amount[k] <= LIMIT_RESOURCE);
        ASSERT(port_ranges_check(ranges, count, NULL) == 0);
        ASSERT(custom_resources_check(&custom, NULL) == 0);
    }
    custom_resources_finish(&custom);
}

static void check_times(const char *text)
{
    char shown[TEXT_TIME_MAX];
    uint64_t stamp_us, again_us, ms;

    text_parse_duration_ms(&ms, text, NULL);
    if (text_parse_time(&stamp_us, text, NULL) != 0)
        return;
    text_time(shown, stamp_us);
    ASSERT(text_parse_time(&again_us, shown, NULL) == 0 && again_us == stamp_us);
}

static void check_clean(struct bytes bytes)
{
    char *clean = text_clean(bytes), *again = text_clean(text_view(clean));

    ASSERT(text_is_printable(text_view(clean)));
    ASSERT(strcmp(clean, again) == 0);
    mem_free(again);
    mem_free(clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_copy((struct bytes){data, size});

    check_resources(text);
    check_times(text);
    check_clean((struct bytes){data, size});
    mem_free(text);
    return 0;
}
