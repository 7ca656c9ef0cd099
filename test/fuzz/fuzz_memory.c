// What a client reads on its own machine: the memory of networks, and the system's tables that name
// the present one.
//
// Input: byte 0, bit 0: tables, else memory. Tables: route, arp and ipv6_route with form feeds
// between them. Memory: byte 1 is the way of an entry that is put in, 2 to 5 its time; the rest is
// the file. What is put must be found, the new text must keep to its limits, and whatever else was
// known stays known, unless it is a week older.
#include "base/check.h"
#include "client/memory_text.h"
#include "client/network.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEAD_BYTES = 6, HEADING_LINES = 2 };

static void read_tables(struct cv_text text)
{
    char name[CV_LIMIT_NETWORK_BYTES + 1];
    struct cv_text route = cv_text_take(&text, '\f');
    struct cv_text arp = cv_text_take(&text, '\f');
    memset(name, 0, sizeof name);
    cv_network_describe(name, route, arp, text);
    CV_ASSERT(memchr(name, '\0', sizeof name));
    CV_ASSERT(cv_memory_is_word(cv_text_of(name), CV_LIMIT_NETWORK_BYTES));
}

static void check_found(const struct cv_memory_entry *put, const struct cv_memory_entry *found)
{
    CV_ASSERT(found->way == put->way && found->at_s == put->at_s);
    CV_ASSERT(found->failures >= put->failures);
    CV_ASSERT(found->rtt_us == put->rtt_us && found->cut_ms == put->cut_ms);
    CV_ASSERT(found->secure == put->secure);
    CV_ASSERT(found->raw == put->raw && found->ipv4 == put->ipv4);
    CV_ASSERT(found->pipelines == put->pipelines && found->keeps_alive == put->keeps_alive);
}

static size_t count_lines(struct cv_text text)
{
    size_t lines = 0;
    for (; text.len; lines++)
        cv_text_take(&text, '\n');
    return lines;
}

static void put_and_find(struct cv_text text, struct cv_text network, struct cv_text server,
                         const struct cv_memory_entry *entry)
{
    static char fresh[CV_LIMIT_MEMORY_BYTES];
    static char again[CV_LIMIT_MEMORY_BYTES];
    struct cv_memory_entry found;
    struct cv_memory_entry other;
    struct cv_text a = cv_text_of("n");
    struct cv_text b = cv_text_of("other:80");
    bool known = cv_memory_text_find(text, a, b, entry->at_s, &other);
    size_t len = cv_memory_text_put(fresh, text, network, server, entry);
    struct cv_text after = {fresh, len};
    CV_ASSERT(len <= CV_LIMIT_MEMORY_BYTES && fresh[len - 1] == '\n');
    CV_ASSERT(count_lines(after) <= CV_LIMIT_MEMORY_LINES + HEADING_LINES);
    CV_ASSERT(cv_memory_text_find(after, network, server, entry->at_s, &found));
    check_found(entry, &found);
    if (known && count_lines(after) < CV_LIMIT_MEMORY_LINES) {
        CV_ASSERT(cv_memory_text_find(after, a, b, entry->at_s, &found));
        check_found(&other, &found);
    }
    // once more: no line is new
    size_t then = cv_memory_text_put(again, after, network, server, entry);
    CV_ASSERT(count_lines((struct cv_text){again, then}) == count_lines(after));
}

static void read_memory(const uint8_t *data, size_t len)
{
    struct cv_memory_entry entry = {
        .way = (enum cv_way)(data[1] % CV_WAYS),
        .secure = data[1] & 0x20,
        .raw = data[1] & 0x80,
        .keeps_alive = data[1] & 0x40,
        .rtt_us = data[2],
        .failures = data[3] & 3,
        .at_s =
            (uint64_t)data[2] << 24 | (uint64_t)data[3] << 16 | (uint64_t)data[4] << 8 | data[5],
    };
    struct cv_text text = {(const char *)data + HEAD_BYTES, len - HEAD_BYTES};
    struct cv_memory_entry found = {.rtt_us = 4711};
    bool known = cv_memory_text_find(text, cv_text_of("n"), cv_text_of("s:80"), entry.at_s, &found);
    CV_ASSERT(known ? found.way < CV_WAYS && found.at_s <= entry.at_s : found.rtt_us == 4711);
    put_and_find(text, cv_text_of("n"), cv_text_of("s:80"), &entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len > 0 && data[0] & 1)
        read_tables((struct cv_text){(const char *)data + 1, len - 1});
    else if (len >= HEAD_BYTES)
        read_memory(data, len);
    return 0;
}
