#include "client/memory_text.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char version[] = "culvert networks 1";
static const char heading[] =
    "culvert networks 1\n"
    "# What got through in which network. Hints: this file may be deleted at any time.\n";

// Names in the file, which stay when the ladder's words for people change.
static const char *const ways[] = {
    [CV_WAY_NONE] = "none",     [CV_WAY_OFFER] = "offer",   [CV_WAY_RTMP] = "rtmp",
    [CV_WAY_TUNNEL] = "tunnel", [CV_WAY_SOCKET] = "socket", [CV_WAY_CONNECT] = "connect",
};
_Static_assert(sizeof ways / sizeof ways[0] == CV_WAYS, "each way has a name");

// All texts point into the file's.
struct line {
    struct cv_text whole; // with its end
    struct cv_text network;
    struct cv_text server;
    struct cv_memory_entry entry;
    bool has_way;
    bool has_at;
};

bool cv_memory_is_word(struct cv_text text, size_t max)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return false;
    }
    return text.len > 0 && text.len <= max;
}

// ---- reading ----------------------------------------------------------------------------------

static bool read_u32(struct cv_text value, uint32_t *out)
{
    uint64_t number;
    if (cv_text_u64(value, 0, UINT32_MAX, &number) != CV_OK)
        return false;
    *out = (uint32_t)number;
    return true;
}

static bool read_bool(struct cv_text value, bool *out)
{
    *out = cv_text_is(value, "yes");
    return *out || cv_text_is(value, "no");
}

static bool read_way(struct cv_text value, struct line *line)
{
    line->has_way = false;
    for (enum cv_way way = CV_WAY_NONE; way < CV_WAYS; way++) {
        if (!cv_text_is(value, ways[way]))
            continue;
        line->entry.way = way;
        line->has_way = true;
    }
    return line->has_way;
}

static bool read_at(struct cv_text value, struct line *line)
{
    line->has_at = cv_text_u64(value, 0, UINT64_MAX, &line->entry.at_s) == CV_OK;
    return line->has_at;
}

static bool read_name(struct cv_text value, size_t max, struct cv_text *out)
{
    *out = value;
    return cv_memory_is_word(value, max);
}

// What must be there. False: damaged; *known: it was one of these.
static bool read_main_word(struct cv_text key, struct cv_text value, struct line *line, bool *known)
{
    *known = true;
    if (cv_text_is(key, "network"))
        return read_name(value, CV_LIMIT_NETWORK_BYTES, &line->network);
    if (cv_text_is(key, "server"))
        return read_name(value, CV_LIMIT_MEMORY_SERVER_BYTES, &line->server);
    if (cv_text_is(key, "way"))
        return read_way(value, line);
    if (cv_text_is(key, "at"))
        return read_at(value, line);
    *known = false;
    return true;
}

static bool read_word(struct cv_text word, struct line *line)
{
    struct cv_memory_entry *entry = &line->entry;
    const struct {
        const char *key;
        uint32_t *number;
        bool *yes;
    } others[] = {
        {"secure", NULL, &entry->secure},       {"raw", NULL, &entry->raw},
        {"ipv4", NULL, &entry->ipv4},           {"rtt_us", &entry->rtt_us, NULL},
        {"cut_ms", &entry->cut_ms, NULL},       {"failures", &entry->failures, NULL},
        {"pipelines", NULL, &entry->pipelines}, {"keeps_alive", NULL, &entry->keeps_alive},
    };
    struct cv_text key = cv_text_take(&word, '=');
    bool known;
    if (!read_main_word(key, word, line, &known))
        return false;
    for (size_t i = 0; !known && i < sizeof others / sizeof others[0]; i++) {
        if (cv_text_is(key, others[i].key))
            return others[i].yes ? read_bool(word, others[i].yes)
                                 : read_u32(word, others[i].number);
    }
    return true;
}

// `text` is a line without its end.
static bool read_line(struct cv_text text, struct line *line)
{
    struct cv_text word;
    while ((word = cv_text_take_word(&text)).len) {
        if (!read_word(word, line))
            return false;
    }
    return line->network.len && line->server.len && line->has_way && line->has_at;
}

// The next line that is an entry. False: there is none.
static bool next_line(struct cv_text *rest, struct line *out)
{
    size_t len;
    while ((len = cv_text_find(*rest, '\n')) < rest->len) {
        *out = (struct line){.whole = {rest->at, len + 1}};
        if (read_line(cv_text_take(rest, '\n'), out) && len < CV_LIMIT_MEMORY_LINE_BYTES)
            return true;
    }
    return false;
}

// What is behind the version; nothing, when that is another one.
static struct cv_text entries_of(struct cv_text text)
{
    bool ours = cv_text_is(cv_text_take(&text, '\n'), version);
    return ours ? text : (struct cv_text){0};
}

// ---- looking ----------------------------------------------------------------------------------

static bool is_of(const struct line *line, struct cv_text network, struct cv_text server)
{
    return cv_text_equal(line->network, network) && cv_text_equal(line->server, server);
}

static uint64_t lasts_s(const struct cv_memory_entry *entry)
{
    if (entry->way != CV_WAY_NONE)
        return CV_MEMORY_SUCCESS_S;
    uint64_t failure_s = CV_MEMORY_FAILURE_MIN_S;
    for (uint32_t i = 1; i < entry->failures && failure_s < CV_MEMORY_FAILURE_MAX_S; i++)
        failure_s *= 2;
    return failure_s < CV_MEMORY_FAILURE_MAX_S ? failure_s : CV_MEMORY_FAILURE_MAX_S;
}

// The last one, when there are several.
static bool find_line(struct cv_text text, struct cv_text network, struct cv_text server,
                      struct cv_memory_entry *out)
{
    bool found = false;
    struct line line;
    struct cv_text rest = entries_of(text);
    while (next_line(&rest, &line)) {
        if (!is_of(&line, network, server))
            continue;
        *out = line.entry;
        found = true;
    }
    return found;
}

bool cv_memory_text_find(struct cv_text text, struct cv_text network, struct cv_text server,
                         uint64_t now_s, struct cv_memory_entry *out)
{
    struct cv_memory_entry entry;
    if (!find_line(text, network, server, &entry) || entry.at_s > now_s ||
        now_s - entry.at_s >= lasts_s(&entry))
        return false;
    *out = entry;
    return true;
}

// ---- writing ----------------------------------------------------------------------------------

static const char *yes_no(bool yes)
{
    return yes ? "yes" : "no";
}

static size_t write_line(char out[CV_LIMIT_MEMORY_LINE_BYTES + 1], struct cv_text network,
                         struct cv_text server, const struct cv_memory_entry *entry)
{
    CV_ASSERT(cv_memory_is_word(network, CV_LIMIT_NETWORK_BYTES));
    CV_ASSERT(cv_memory_is_word(server, CV_LIMIT_MEMORY_SERVER_BYTES));
    CV_ASSERT(entry->way < CV_WAYS);
    int len = snprintf(out, CV_LIMIT_MEMORY_LINE_BYTES + 1,
                       "network=%.*s server=%.*s way=%s secure=%s raw=%s ipv4=%s rtt_us=%" PRIu32
                       " cut_ms=%" PRIu32 " failures=%" PRIu32
                       " pipelines=%s keeps_alive=%s at=%" PRIu64 "\n",
                       (int)network.len, network.at, (int)server.len, server.at, ways[entry->way],
                       yes_no(entry->secure), yes_no(entry->raw), yes_no(entry->ipv4),
                       entry->rtt_us, entry->cut_ms, entry->failures, yes_no(entry->pipelines),
                       yes_no(entry->keeps_alive), entry->at_s);
    CV_ASSERT(len > 0 && len <= CV_LIMIT_MEMORY_LINE_BYTES);
    return (size_t)len;
}

// In a row, with this one.
static uint32_t failures_with(struct cv_text text, struct cv_text network, struct cv_text server,
                              const struct cv_memory_entry *entry)
{
    struct cv_memory_entry older;
    uint32_t before = 0;
    if (entry->way != CV_WAY_NONE)
        return entry->failures;
    if (find_line(text, network, server, &older) && older.way == CV_WAY_NONE)
        before = older.failures;
    uint32_t failures = before < UINT32_MAX ? before + 1 : before;
    return failures > entry->failures ? failures : entry->failures;
}

// Old lines that go on, and their bytes.
struct kept {
    struct cv_text network;
    struct cv_text server;
    uint64_t now_s;
    size_t count;
    size_t bytes;
};

static bool next_kept(const struct kept *kept, struct cv_text *rest, struct line *out)
{
    while (next_line(rest, out)) {
        bool old =
            out->entry.at_s < kept->now_s && kept->now_s - out->entry.at_s >= CV_MEMORY_SUCCESS_S;
        if (!old && !is_of(out, kept->network, kept->server))
            return true;
    }
    return false;
}

static size_t append(char *out, size_t len, const void *bytes, size_t more)
{
    CV_ASSERT(len + more <= CV_LIMIT_MEMORY_BYTES);
    memcpy(out + len, bytes, more);
    return len + more;
}

size_t cv_memory_text_put(char out[CV_LIMIT_MEMORY_BYTES], struct cv_text text,
                          struct cv_text network, struct cv_text server,
                          const struct cv_memory_entry *entry)
{
    struct cv_memory_entry fresh = *entry;
    fresh.failures = failures_with(text, network, server, entry);
    char own[CV_LIMIT_MEMORY_LINE_BYTES + 1];
    size_t own_len = write_line(own, network, server, &fresh);

    struct kept kept = {.network = network, .server = server, .now_s = entry->at_s};
    struct line line;
    struct cv_text rest = entries_of(text);
    for (; next_kept(&kept, &rest, &line); kept.count++)
        kept.bytes += line.whole.len;

    size_t len = append(out, 0, heading, sizeof heading - 1);
    size_t room = CV_LIMIT_MEMORY_BYTES - len - own_len;
    rest = entries_of(text);
    for (; next_kept(&kept, &rest, &line); kept.count--, kept.bytes -= line.whole.len) {
        if (kept.count < CV_LIMIT_MEMORY_LINES && kept.bytes <= room) {
            len = append(out, len, line.whole.at, line.whole.len);
            room -= line.whole.len;
        }
    }
    return append(out, len, own, own_len);
}
