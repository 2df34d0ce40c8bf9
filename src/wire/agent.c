/* agent.c - agent specs: their rules and their canonical bytes.
 *
 *     [key, hostname, http_address, [amount…], [[first, last]…], [[name, value]…]]
 */
#include "wire/agent.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdbool.h>
#include <string.h>

/* Ports and texts at their limits, with their heads, fit. */
_Static_assert(LIMIT_ATTRIBUTES *(2 * (LIMIT_ATTRIBUTE_BYTES + 5) + 1) +
                       LIMIT_PORT_RANGES * 7 + 2 * LIMIT_NAME_BYTES + 128 <=
                   LIMIT_SPEC_BYTES,
               "an agent spec that keeps the rules fits its limit");

const char *agent_state_name(enum agent_state state)
{
    switch (state) {
#define X(number, name, text) \
    case AGENT_##name:        \
        return text;
        AGENT_STATES(X)
#undef X
    case AGENT_STATE_COUNT:
        break;
    }
    return "UNKNOWN";
}

const char *agent_mode_name(enum agent_mode mode)
{
    switch (mode) {
#define X(number, name, text) \
    case AGENT_##name:        \
        return text;
        AGENT_MODES(X)
#undef X
    case AGENT_MODE_COUNT:
        break;
    }
    return "UNKNOWN";
}

void agent_spec_finish(struct agent_spec *spec)
{
    mem_free(spec->hostname);
    mem_free(spec->http_address);
    mem_free(spec->rpc_address);
    for (size_t i = 0; i < spec->attribute_count; i++) {
        mem_free(spec->attributes[i].name);
        mem_free(spec->attributes[i].value);
    }
    mem_free(spec->attributes);
    custom_resources_finish(&spec->custom);
    *spec = (struct agent_spec){0};
}

/* ---- rules ---- */

/* Printable, without spaces. */
static bool is_word(struct bytes text)
{
    return text_is_printable(text) &&
           (text.size == 0 || memchr(text.data, ' ', text.size) == NULL);
}

static int check_hostname(const struct agent_spec *spec, struct error *err)
{
    struct bytes name = text_view(spec->hostname);

    if (name.size == 0 || name.size > LIMIT_NAME_BYTES || !is_word(name))
        return error_set(
            err,
            ERROR_INVALID,
            "hostname: give 1 to %d bytes of printable text without spaces",
            LIMIT_NAME_BYTES);
    return 0;
}

static int check_address(const char *what, const char *text, struct error *err)
{
    struct bytes address = text_view(text);
    const char *port;
    uint64_t number = 0;

    if (address.size == 0)
        return 0;
    port = strrchr(text, ':');
    if (address.size <= LIMIT_NAME_BYTES && is_word(address) && port != NULL &&
        port > text) {
        port++;
        if (text_take_uint(&port, UINT16_MAX, &number) && *port == '\0' && number > 0)
            return 0;
    }
    return error_set(err,
                     ERROR_INVALID,
                     "%s address: '%.80s' is not HOST:PORT with a port from 1 to 65535",
                     what,
                     text);
}

static int check_addresses(const struct agent_spec *spec, struct error *err)
{
    int rc = check_address("http", spec->http_address, err);

    return rc != 0 ? rc : check_address("rpc", spec->rpc_address, err);
}

static int check_resources(const struct agent_spec *spec, struct error *err)
{
    static const uint64_t MOST[RESOURCE_KINDS] = {
        [RESOURCE_CPUS] = LIMIT_AGENT_CPUS * 1000ull,
        [RESOURCE_MEM] = LIMIT_RESOURCE,
        [RESOURCE_DISK] = LIMIT_RESOURCE,
        [RESOURCE_GPUS] = LIMIT_AGENT_GPUS,
    };
    int rc;

    if (spec->resources.amount[RESOURCE_CPUS] == 0)
        return error_set(
            err, ERROR_INVALID, "cpus: 0; an agent offers more than 0 cpus");
    for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++)
        if (spec->resources.amount[k] > MOST[k])
            return error_set(err,
                             ERROR_TOO_LARGE,
                             "%s: more than any machine can have; set --resources",
                             resource_name(k));
    rc = custom_resources_check(&spec->custom, err);
    return rc != 0 ? rc : port_ranges_check(spec->ports, spec->port_count, err);
}

/* 1 (for a name) or 0 (for a value) to LIMIT_ATTRIBUTE_BYTES bytes. */
static bool is_attribute_text(const char *text, size_t min)
{
    struct bytes view = text_view(text);

    return view.size >= min && view.size <= LIMIT_ATTRIBUTE_BYTES &&
           text_is_printable(view);
}

static int check_attributes(const struct agent_spec *spec, struct error *err)
{
    if (spec->attribute_count > LIMIT_ATTRIBUTES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "attributes: %zu; the most is %d",
                         spec->attribute_count,
                         LIMIT_ATTRIBUTES);
    for (size_t i = 0; i < spec->attribute_count; i++) {
        const struct attribute *a = &spec->attributes[i];
        int order = i == 0 ? -1 : strcmp(a[-1].name, a->name);

        if (!is_attribute_text(a->name, 1) || !is_attribute_text(a->value, 0))
            return error_set(
                err,
                ERROR_INVALID,
                "attributes: give NAME:VALUE, each printable text of at most %d "
                "bytes",
                LIMIT_ATTRIBUTE_BYTES);
        if (order >= 0)
            return error_set(err,
                             ERROR_INVALID,
                             "attributes: %.80s is %s",
                             a->name,
                             order == 0 ? "given twice" : "not in order of the names");
    }
    return 0;
}

int agent_spec_check(const struct agent_spec *spec, struct error *err)
{
    static int (*const CHECKS[])(const struct agent_spec *, struct error *) = {
        check_hostname,
        check_addresses,
        check_resources,
        check_attributes,
    };

    for (size_t i = 0; i < sizeof(CHECKS) / sizeof(CHECKS[0]); i++) {
        int rc = CHECKS[i](spec, err);

        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- bytes ---- */

/* Of those from the seventh on, what is zero up to the end is left out: an agent that has
 * none of them has the bytes that it always had. */
static uint32_t count_fields(const struct agent_spec *spec)
{
    if (spec->custom.count > 0)
        return 9;
    if (spec->features != 0)
        return 8;
    return text_view(spec->rpc_address).size > 0 ? 7 : 6;
}

void agent_spec_pack(const struct agent_spec *spec, struct buffer *out)
{
    uint32_t fields = count_fields(spec);

    pack_array(out, fields);
    pack_bytes(out, (struct bytes){spec->key, sizeof(spec->key)});
    pack_text(out, spec->hostname);
    pack_text(out, spec->http_address);
    resources_pack(&spec->resources, out);
    port_ranges_pack(spec->ports, spec->port_count, out);
    pack_array(out, (uint32_t)spec->attribute_count);
    for (size_t i = 0; i < spec->attribute_count; i++) {
        pack_array(out, 2);
        pack_text(out, spec->attributes[i].name);
        pack_text(out, spec->attributes[i].value);
    }
    if (fields > 6)
        pack_text(out, spec->rpc_address);
    if (fields > 7)
        pack_uint(out, spec->features);
    if (fields > 8)
        custom_resources_pack(&spec->custom, out);
}

static void unpack_attributes(struct agent_spec *spec, struct unpack *u)
{
    uint32_t n = unpack_enter(u);

    if (n > LIMIT_ATTRIBUTES)
        unpack_fail(u, "more attributes than the limit");
    else if (n > 0)
        spec->attributes = mem_zalloc(n * sizeof(*spec->attributes));
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        struct attribute *a = &spec->attributes[spec->attribute_count++];

        unpack_enter(u);
        a->name = text_copy(unpack_text(u, LIMIT_ATTRIBUTE_BYTES));
        a->value = text_copy(unpack_text(u, LIMIT_ATTRIBUTE_BYTES));
        unpack_leave(u);
    }
    unpack_leave(u);
}

int agent_spec_unpack(struct agent_spec *spec, struct bytes bytes, struct error *err)
{
    struct bytes key;
    struct unpack u;
    int rc;

    *spec = (struct agent_spec){0};
    if (bytes.size > LIMIT_SPEC_BYTES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "agent spec: %zu bytes; the most is %lu",
                         bytes.size,
                         LIMIT_SPEC_BYTES);
    unpack_init(&u, bytes);
    unpack_enter(&u);
    key = unpack_bytes(&u, sizeof(spec->key));
    if (key.size == sizeof(spec->key))
        memcpy(spec->key, key.data, key.size);
    else
        unpack_fail(&u, "the key is not 16 bytes");
    spec->hostname = text_copy(unpack_text(&u, LIMIT_NAME_BYTES));
    spec->http_address = text_copy(unpack_text(&u, LIMIT_NAME_BYTES));
    resources_unpack(&spec->resources, &u);
    port_ranges_unpack(spec->ports, &spec->port_count, LIMIT_PORT_RANGES, &u);
    unpack_attributes(spec, &u);
    spec->rpc_address = text_copy(unpack_text(&u, LIMIT_NAME_BYTES));
    spec->features = (uint32_t)unpack_uint_max(&u, UINT32_MAX) & AGENT_FEATURES_ALL;
    custom_resources_unpack(&spec->custom, &u);
    unpack_leave(&u);
    rc = unpack_finish(&u, "agent spec", err);
    if (rc == 0)
        rc = agent_spec_check(spec, err);
    if (rc != 0)
        agent_spec_finish(spec);
    return rc;
}

void agent_spec_hide_key(struct buffer *packed)
{
    struct bytes key;
    struct unpack u;

    unpack_init(&u, buffer_view(packed));
    unpack_enter(&u);
    key = unpack_bytes(&u, sizeof(((struct agent_spec *)0)->key));
    if (key.size > 0)
        memset(packed->data + (key.data - packed->data), 0, key.size);
}

/* ---- 'rack:a;zone:b' ---- */

static void insert_attribute(struct agent_spec *spec, struct attribute attribute)
{
    size_t i = spec->attribute_count++;

    spec->attributes = mem_realloc(spec->attributes,
                                   spec->attribute_count * sizeof(*spec->attributes));
    for (; i > 0 && strcmp(spec->attributes[i - 1].name, attribute.name) > 0; i--)
        spec->attributes[i] = spec->attributes[i - 1];
    spec->attributes[i] = attribute;
}

/* The bytes from `from` up to `to` as an owned text. */
static char *copy_span(const char *from, const char *to)
{
    return text_copy((struct bytes){(const uint8_t *)from, (size_t)(to - from)});
}

int agent_spec_parse_attributes(struct agent_spec *spec,
                                const char *text,
                                struct error *err)
{
    for (const char *at = text, *end; *at != '\0'; at = *end == ';' ? end + 1 : end) {
        const char *colon = at + strcspn(at, ":;");

        end = at + strcspn(at, ";");
        if (end == at)
            continue;
        if (*colon != ':')
            return error_set(err,
                             ERROR_INVALID,
                             "attributes: '%.*s' is not NAME:VALUE",
                             (int)(end - at < 80 ? end - at : 80),
                             at);
        if (spec->attribute_count == LIMIT_ATTRIBUTES)
            return error_set(
                err, ERROR_TOO_LARGE, "attributes: more than %d", LIMIT_ATTRIBUTES);
        insert_attribute(spec,
                         (struct attribute){.name = copy_span(at, colon),
                                            .value = copy_span(colon + 1, end)});
    }
    return check_attributes(spec, err);
}
