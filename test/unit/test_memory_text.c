// The text of the memory of networks.
#include "harness.h"

#include "client/memory_text.h"

#include <inttypes.h>
#include <stdio.h>

enum { NOW = 1000000000, HOUR = 3600, DAY = 24 * HOUR };

#define HEAD "culvert networks 1\n"

static const struct cv_memory_entry full = {
    .way = CV_WAY_TUNNEL,
    .secure = true,
    .raw = true,
    .ipv4 = true,
    .rtt_us = UINT32_MAX,
    .cut_ms = 30000,
    .failures = 7,
    .pipelines = true,
    .keeps_alive = true,
    .at_s = NOW,
};

static struct cv_text text_of(const struct guard *guard)
{
    return (struct cv_text){(const char *)guard->data, guard->len};
}

static bool find_in(struct cv_text text, const char *network, const char *server, uint64_t now_s,
                    struct cv_memory_entry *out)
{
    return cv_memory_text_find(text, cv_text_of(network), cv_text_of(server), now_s, out);
}

// What a text says of "n" and "s:80".
static bool find(const char *text, uint64_t now_s, struct cv_memory_entry *out)
{
    struct guard copy = guard_copy(text, strlen(text));
    bool found = find_in(text_of(&copy), "n", "s:80", now_s, out);
    guard_free(&copy);
    return found;
}

// A text in memory of its own, as it grows by put.
struct paper {
    char *bytes;
    size_t len;
};

static void put(struct paper *paper, const char *network, const char *server,
                const struct cv_memory_entry *entry)
{
    struct guard old = guard_copy(paper->bytes ? paper->bytes : "", paper->len);
    char *fresh = malloc(CV_LIMIT_MEMORY_BYTES);
    assert_non_null(fresh);
    size_t len =
        cv_memory_text_put(fresh, text_of(&old), cv_text_of(network), cv_text_of(server), entry);
    assert_in_range(len, 1, CV_LIMIT_MEMORY_BYTES);
    guard_free(&old);
    free(paper->bytes);
    *paper = (struct paper){fresh, len};
}

static bool knows(const struct paper *paper, const char *network, const char *server,
                  uint64_t now_s, struct cv_memory_entry *out)
{
    return find_in((struct cv_text){paper->bytes, paper->len}, network, server, now_s, out);
}

static size_t lines_of(const struct paper *paper)
{
    size_t lines = 0;
    for (size_t i = 0; i < paper->len; i++)
        lines += paper->bytes[i] == '\n';
    return lines - 2; // the version and the comment
}

static void assert_same(const struct cv_memory_entry *a, const struct cv_memory_entry *b)
{
    assert_int_equal(a->way, b->way);
    assert_int_equal(a->secure, b->secure);
    assert_int_equal(a->raw, b->raw);
    assert_int_equal(a->ipv4, b->ipv4);
    assert_int_equal(a->rtt_us, b->rtt_us);
    assert_int_equal(a->cut_ms, b->cut_ms);
    assert_int_equal(a->failures, b->failures);
    assert_int_equal(a->pipelines, b->pipelines);
    assert_int_equal(a->keeps_alive, b->keeps_alive);
    assert_int_equal(a->at_s, b->at_s);
}

static void what_is_put_is_found(void **state)
{
    (void)state;
    struct paper paper = {0};
    struct cv_memory_entry entry = full;
    struct cv_memory_entry got;
    for (enum cv_way way = CV_WAY_NONE; way < CV_WAYS; way++) {
        entry.way = way;
        put(&paper, "02:fc:00:00:00:05@192.0.2.0/24", "s:80", &entry);
        assert_true(knows(&paper, "02:fc:00:00:00:05@192.0.2.0/24", "s:80", NOW, &got));
        assert_same(&got, &entry);
        assert_int_equal(lines_of(&paper), 1);
    }
    entry = (struct cv_memory_entry){.way = CV_WAY_RTMP, .at_s = NOW};
    put(&paper, "-", "[::1]:1935", &entry);
    assert_true(knows(&paper, "-", "[::1]:1935", NOW, &got));
    assert_same(&got, &entry);
    assert_int_equal(lines_of(&paper), 2);
    assert_false(knows(&paper, "-", "s:80", NOW, &got));
    assert_false(knows(&paper, "02:fc:00:00:00:05@192.0.2.0/24", "[::1]:1935", NOW, &got));
    free(paper.bytes);
}

static void people_can_read_it(void **state)
{
    (void)state;
    static const char text[] =
        HEAD "# What got through in which network. Hints: this file may be deleted at any time.\n"
             "network=n server=s:80 way=tunnel secure=yes raw=yes ipv4=yes rtt_us=4294967295 "
             "cut_ms=30000 "
             "failures=7 pipelines=yes keeps_alive=yes at=1000000000\n";
    struct paper paper = {0};
    put(&paper, "n", "s:80", &full);
    assert_int_equal(paper.len, sizeof text - 1);
    assert_memory_equal(paper.bytes, text, sizeof text - 1);
    free(paper.bytes);
}

static void lines_of_people_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool known;
    } rows[] = {
        {"network=n server=s:80 way=rtmp at=1000000000\n", true},
        {" \tat=1000000000  way=rtmp\tserver=s:80 network=n \n", true},
        {"network=n server=s:80 way=rtmp at=1000000000 colour=blue shape\n", true},
        {"# a comment\n\nnetwork=n server=s:80 way=rtmp at=1000000000\n", true},
        {"network=n server=s:80 way=none at=1000000000\n"
         "network=n server=s:80 way=rtmp at=1000000000\n",
         true}, // the last one counts
        // damaged
        {"network=n server=s:80 way=rtmp at=1000000000", false}, // cut off
        {"network=n server=s:80 way=rtmp at=1000000000\r\n", false},
        {"server=s:80 way=rtmp at=1000000000\n", false},
        {"network=n way=rtmp at=1000000000\n", false},
        {"network=n server=s:80 at=1000000000\n", false},
        {"network=n server=s:80 way=rtmp\n", false},
        {"network=n server=s:80 way=RTMP at=1000000000\n", false},
        {"network=n server=s:80 way=rtmp way=? at=1000000000\n", false},
        {"network=n server=s:80 way=rtmp at=-1\n", false},
        {"network=n server=s:80 way=rtmp at=1000000000 at=\n", false},
        {"network=n server=s:80 way=rtmp at=1000000000 raw=1\n", false},
        {"network=n server=s:80 way=rtmp secure=tls at=1000000000\n", false},
        {"network=n server=s:80 way=rtmp at=1000000000 raw\n", false},
        {"network=n server=s:80 way=rtmp at=1000000000 rtt_us=4294967296\n", false},
        {"network=n server=s:80 way=rtmp at=1000000000 cut_ms=9x\n", false},
        {"network=n server=s:80 way=rtmp at=1000000000 network=\n", false},
        {"network=n server=s:80 way=rtmp at=1000000000 network=n\x7f\n", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_memory_entry entry;
        char text[512];
        snprintf(text, sizeof text, HEAD "%s", rows[i].line);
        assert_int_equal(find(text, NOW, &entry), rows[i].known);
        if (rows[i].known)
            assert_int_equal(entry.way, CV_WAY_RTMP);
    }
}

// A file of a version that knew no TLS is read, and its entries are plain.
static void entries_without_tls_are_plain(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        bool secure;
    } rows[] = {{"", false}, {" secure=no", false}, {" secure=yes", true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_memory_entry entry;
        char text[512];
        snprintf(text, sizeof text,
                 HEAD "network=n server=s:80 way=offer%s raw=yes ipv4=yes rtt_us=1 cut_ms=2 "
                      "failures=0 pipelines=no keeps_alive=yes at=1000000000\n",
                 rows[i].word);
        assert_true(find(text, NOW, &entry));
        assert_int_equal(entry.secure, rows[i].secure);
        assert_true(entry.way == CV_WAY_OFFER && entry.raw && entry.keeps_alive);
    }
}

static void another_version_is_not_known(void **state)
{
    (void)state;
    static const char line[] = "network=n server=s:80 way=rtmp at=1000000000\n";
    static const struct {
        const char *first;
        bool known;
    } rows[] = {
        {HEAD, true},
        {"culvert networks 2\n", false},
        {"culvert networks 1 \n", false},
        {"\n" HEAD, false},
        {"", false},
        {"culvert networks 11\n", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_memory_entry entry;
        char text[512];
        snprintf(text, sizeof text, "%s%s", rows[i].first, line);
        assert_int_equal(find(text, NOW, &entry), rows[i].known);
    }
}

static void knowledge_gets_old(void **state)
{
    (void)state;
    static const struct {
        const char *way;
        uint32_t failures;
        uint64_t lasts_s;
    } rows[] = {
        {"offer", 0, 7 * DAY}, {"rtmp", 9, 7 * DAY},  {"none", 0, HOUR},         {"none", 1, HOUR},
        {"none", 2, 2 * HOUR}, {"none", 3, 4 * HOUR}, {"none", 5, 16 * HOUR},    {"none", 6, DAY},
        {"none", 7, DAY},      {"none", 70, DAY},     {"none", 4294967295, DAY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cv_memory_entry entry = {.rtt_us = 4711};
        char text[512];
        snprintf(text, sizeof text,
                 HEAD "network=n server=s:80 way=%s failures=%" PRIu32 " at=1000000000\n",
                 rows[i].way, rows[i].failures);
        assert_false(find(text, NOW - 1, &entry)); // a clock that was ahead
        assert_false(find(text, NOW + rows[i].lasts_s, &entry));
        assert_false(find(text, UINT64_MAX, &entry));
        assert_int_equal(entry.rtt_us, 4711); // untouched
        assert_true(find(text, NOW, &entry));
        assert_true(find(text, NOW + rows[i].lasts_s - 1, &entry));
    }
    struct cv_memory_entry entry;
    assert_false(find(HEAD "network=n server=s:80 way=rtmp at=18446744073709551615\n", 1, &entry));
}

static uint32_t failures_after_put(struct paper *paper, enum cv_way way, uint32_t failures,
                                   uint64_t at_s)
{
    struct cv_memory_entry entry = {.way = way, .failures = failures, .at_s = at_s};
    put(paper, "n", "s:80", &entry);
    assert_true(knows(paper, "n", "s:80", at_s, &entry));
    return entry.failures;
}

static void failures_are_counted(void **state)
{
    (void)state;
    struct paper paper = {0};
    assert_int_equal(failures_after_put(&paper, CV_WAY_NONE, 0, NOW), 1);
    assert_int_equal(failures_after_put(&paper, CV_WAY_NONE, 2, NOW + 1), 2);
    // find does not tell of an old one, and yet it counts
    assert_int_equal(failures_after_put(&paper, CV_WAY_NONE, 1, NOW + DAY), 3);
    assert_int_equal(failures_after_put(&paper, CV_WAY_NONE, 9, NOW + DAY), 9);
    assert_int_equal(failures_after_put(&paper, CV_WAY_RTMP, 0, NOW + DAY), 0);
    assert_int_equal(failures_after_put(&paper, CV_WAY_NONE, 1, NOW + DAY), 1);
    assert_int_equal(failures_after_put(&paper, CV_WAY_NONE, UINT32_MAX, NOW), UINT32_MAX);
    assert_int_equal(failures_after_put(&paper, CV_WAY_NONE, 1, NOW), UINT32_MAX);
    free(paper.bytes);
}

static void the_oldest_lines_leave(void **state)
{
    (void)state;
    struct paper paper = {0};
    struct cv_memory_entry entry = {.way = CV_WAY_OFFER, .at_s = NOW};
    char server[32];
    for (unsigned i = 0; i < CV_LIMIT_MEMORY_LINES + 3; i++) {
        snprintf(server, sizeof server, "s%u:80", i);
        put(&paper, "n", server, &entry);
        assert_true(knows(&paper, "n", server, NOW, &entry));
        assert_int_equal(lines_of(&paper),
                         i < CV_LIMIT_MEMORY_LINES ? i + 1 : CV_LIMIT_MEMORY_LINES);
    }
    assert_false(knows(&paper, "n", "s0:80", NOW, &entry));
    assert_false(knows(&paper, "n", "s2:80", NOW, &entry));
    assert_true(knows(&paper, "n", "s3:80", NOW, &entry));
    // one that comes again is the newest
    put(&paper, "n", "s3:80", &entry);
    put(&paper, "n", "t:80", &entry);
    assert_true(knows(&paper, "n", "s3:80", NOW, &entry));
    assert_false(knows(&paper, "n", "s4:80", NOW, &entry));
    // and after a week nothing of it is left, but what is dated later
    entry.at_s = NOW + CV_MEMORY_SUCCESS_S - 1;
    put(&paper, "n", "u:80", &entry);
    assert_int_equal(lines_of(&paper), CV_LIMIT_MEMORY_LINES);
    entry.at_s++;
    put(&paper, "n", "v:80", &entry);
    assert_int_equal(lines_of(&paper), 2);
    entry.at_s = 1; // a clock that starts at 1970 forgets nothing
    put(&paper, "n", "w:80", &entry);
    assert_int_equal(lines_of(&paper), 3);
    free(paper.bytes);
}

// The longest lines there can be, in a file that has no room for all of them.
static void bug_25_the_text_keeps_to_its_limit(void **state)
{
    (void)state;
    char network[CV_LIMIT_NETWORK_BYTES + 1];
    char server[CV_LIMIT_MEMORY_SERVER_BYTES + 1];
    struct cv_memory_entry entry = full;
    entry.cut_ms = UINT32_MAX;
    entry.failures = UINT32_MAX;
    entry.at_s = UINT64_MAX;
    memset(network, '~', sizeof network - 1);
    memset(server, '!', sizeof server - 1);
    network[sizeof network - 1] = '\0';
    server[sizeof server - 1] = '\0';
    struct paper paper = {0};
    for (unsigned i = 0; i < CV_LIMIT_MEMORY_LINES; i++) {
        char number[16];
        memcpy(server, number, (size_t)snprintf(number, sizeof number, "%03u", i));
        put(&paper, network, server, &entry);
        assert_true(knows(&paper, network, server, UINT64_MAX, &entry));
    }
    assert_in_range(paper.len, CV_LIMIT_MEMORY_BYTES - CV_LIMIT_MEMORY_LINE_BYTES,
                    CV_LIMIT_MEMORY_BYTES);
    free(paper.bytes);
}

static void damage_is_not_copied(void **state)
{
    (void)state;
    static const char text[] = HEAD "garbage\n\x01\xff\n"
                                    "network=n server=a:80 way=rtmp at=1000000000 later=1\n"
                                    "network=n server=b:80 way=rtmp at=x\n"
                                    "network=n server=c:80 way=rtmp at=1000000000";
    char fresh[CV_LIMIT_MEMORY_BYTES];
    size_t len =
        cv_memory_text_put(fresh, cv_text_of(text), cv_text_of("n"), cv_text_of("s:80"), &full);
    struct cv_text rest = {fresh, len};
    cv_text_take(&rest, '\n');
    cv_text_take(&rest, '\n');
    assert_true(cv_text_is(cv_text_take(&rest, '\n'),
                           "network=n server=a:80 way=rtmp at=1000000000 later=1"));
    assert_true(cv_text_starts(cv_text_take(&rest, '\n'), "network=n server=s:80 way=tunnel"));
    assert_int_equal(rest.len, 0);
    // of another version nothing is
    len = cv_memory_text_put(fresh, cv_text_of("culvert networks 2\nx\n"), cv_text_of("n"),
                             cv_text_of("s:80"), &full);
    assert_true(cv_text_starts((struct cv_text){fresh, len}, HEAD));
}

// A file that was cut anywhere, or has a wrong byte anywhere, gives a right answer or none.
static void damaged_anywhere(void **state)
{
    (void)state;
    struct paper paper = {0};
    struct cv_memory_entry entry;
    put(&paper, "n", "s:80", &full);
    for (size_t len = 0; len < paper.len; len++) {
        struct guard cut = guard_copy(paper.bytes, len);
        assert_false(find_in(text_of(&cut), "n", "s:80", NOW, &entry));
        guard_free(&cut);
    }
    for (size_t i = 0; i < paper.len; i++) {
        char right = paper.bytes[i];
        paper.bytes[i] = '\x02';
        if (knows(&paper, "n", "s:80", NOW, &entry)) // in the comment, or in a key
            assert_int_equal(entry.way, CV_WAY_TUNNEL);
        paper.bytes[i] = right;
    }
    free(paper.bytes);
}

static void long_lines_are_damaged(void **state)
{
    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        char text[CV_LIMIT_MEMORY_LINE_BYTES + sizeof HEAD + 2] = HEAD;
        char *line = text + sizeof HEAD - 1;
        memset(line, ' ', CV_LIMIT_MEMORY_LINE_BYTES + extra);
        memcpy(line, "network=n server=s:80 way=rtmp at=1000000000", 44);
        line[CV_LIMIT_MEMORY_LINE_BYTES + extra - 1] = '\n';
        struct cv_memory_entry entry;
        assert_int_equal(find(text, NOW, &entry), extra == 0);
    }
}

static void names_are_words(void **state)
{
    (void)state;
    assert_true(cv_memory_is_word(cv_text_of("a"), 1));
    assert_true(cv_memory_is_word(cv_text_of("!~"), 2));
    assert_false(cv_memory_is_word(cv_text_of("ab"), 1));
    assert_false(cv_memory_is_word(cv_text_of(""), 1));
    assert_false(cv_memory_is_word(cv_text_of("a b"), 9));
    assert_false(cv_memory_is_word(cv_text_of("a\n"), 9));
    assert_false(cv_memory_is_word(cv_text_of("a\x7f"), 9));
    assert_false(cv_memory_is_word(cv_text_of("\xc3\xa4"), 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_found),
        cmocka_unit_test(people_can_read_it),
        cmocka_unit_test(lines_of_people_are_read),
        cmocka_unit_test(entries_without_tls_are_plain),
        cmocka_unit_test(another_version_is_not_known),
        cmocka_unit_test(knowledge_gets_old),
        cmocka_unit_test(failures_are_counted),
        cmocka_unit_test(the_oldest_lines_leave),
        cmocka_unit_test(bug_25_the_text_keeps_to_its_limit),
        cmocka_unit_test(damage_is_not_copied),
        cmocka_unit_test(damaged_anywhere),
        cmocka_unit_test(long_lines_are_damaged),
        cmocka_unit_test(names_are_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
