#include "cli/check_report.h"

#include "base/err.h"
#include "base/text.h"

#include <jansson.h>
#include <string.h>

enum { WIDTH = 79, LABEL = 13, WORDS_BYTES = 320 };

// ---- lines ----------------------------------------------------------------------------------

// "41 ms", "2.5 s"
static const char *print_time(char *text, size_t size, uint32_t us)
{
    if (us < 1000)
        snprintf(text, size, "%u us", us);
    else if (us < 1000000)
        snprintf(text, size, "%u ms", us / 1000);
    else
        snprintf(text, size, "%u.%u s", us / 1000000, us / 100000 % 10);
    return text;
}

void cv_check_print_rung(FILE *file, enum cv_rung rung, const struct cv_rung_result *result)
{
    char words[WORDS_BYTES];
    char time[32];
    if (result->end == CV_RUNG_SKIPPED)
        return;
    cv_rung_words(rung, result, words, sizeof words);
    fprintf(file, "  %-14s %-3s  %-48s %8s\n", cv_rung_name(rung),
            result->end == CV_RUNG_WORKS ? "ok" : "no", words,
            print_time(time, sizeof time, result->total_us));
}

void cv_check_print_cut(FILE *file, uint32_t age_ms)
{
    fprintf(file, "  held           cut  after %u.%u s\n", age_ms / 1000, age_ms / 100 % 10);
}

// A paragraph behind a label, broken at blanks.
static void print_text(FILE *file, const char *label, const char *text)
{
    int column = fprintf(file, "%-*s", LABEL, label);
    while (*text) {
        int len = (int)strcspn(text, " ");
        if (column > LABEL && column + 1 + len > WIDTH)
            column = fprintf(file, "\n%*s", LABEL, "") - 1;
        if (column > LABEL)
            column += fprintf(file, " ");
        column += fprintf(file, "%.*s", len, text);
        text += len;
        text += strspn(text, " ");
    }
    fprintf(file, "\n");
}

// ---- the verdict ----------------------------------------------------------------------------

static void print_result(FILE *file, const struct cv_verdict *verdict)
{
    char time[32];
    char text[WORDS_BYTES];
    if (verdict->way == CV_WAY_NONE)
        snprintf(text, sizeof text, "Nothing gets through.");
    else
        snprintf(text, sizeof text, "It works: a stream gets through as %s, %s after its start.",
                 verdict->name, print_time(time, sizeof time, verdict->soon_us));
    print_text(file, "Result", text);
}

static void print_holding(FILE *file, const struct cv_survey_facts *facts,
                          const struct cv_verdict *verdict)
{
    char text[WORDS_BYTES];
    if (facts->held_ms == 0)
        return;
    if (facts->cut_count == 0)
        snprintf(text, sizeof text, "For %u s, and it was not cut.", facts->held_ms / 1000);
    else if (verdict->cut_ms)
        snprintf(text, sizeof text, "For %u s. Connections are cut every %u.%u s.",
                 facts->held_ms / 1000, verdict->cut_ms / 1000, verdict->cut_ms / 100 % 10);
    else
        snprintf(text, sizeof text, "For %u s, and it was cut %u times.", facts->held_ms / 1000,
                 facts->cut_count);
    print_text(file, "Held", text);
}

// Whoever says no to the app is reached; that is for the user to know.
static const char *refusal(const struct cv_survey_facts *facts)
{
    for (int i = 0; i < CV_RUNGS; i++) {
        if (facts->rungs[i].refused)
            return facts->rungs[i].detail;
    }
    return NULL;
}

void cv_check_print_verdict(FILE *file, const struct cv_survey_facts *facts,
                            const struct cv_verdict *verdict)
{
    fprintf(file, "\n");
    print_result(file, verdict);
    print_holding(file, facts, verdict);
    for (uint32_t i = 0; i < verdict->finding_count; i++) {
        const struct cv_finding *finding = &verdict->findings[i];
        print_text(file, i == 0 ? "In the way" : "And", finding->text);
        if (finding->advice)
            print_text(file, "To do", finding->advice);
    }
    if (refusal(facts))
        print_text(file, "The server", refusal(facts));
}

// ---- JSON -----------------------------------------------------------------------------------

static double ms_of(uint32_t us)
{
    return us / 100 / 10.0;
}

static json_t *json_of_rung(enum cv_rung rung, const struct cv_rung_result *result)
{
    char words[WORDS_BYTES];
    cv_rung_words(rung, result, words, sizeof words);
    json_t *object =
        json_pack("{ss sb sb ss ss}", "name", cv_rung_id(rung), "tried",
                  result->end != CV_RUNG_SKIPPED, "works", result->end == CV_RUNG_WORKS, "result",
                  cv_rung_end_id(result->end), "words", words);
    if (!object || result->end == CV_RUNG_SKIPPED)
        return object;
    int err = json_object_set_new(object, "ms", json_real(ms_of(result->total_us)));
    if (result->rtt_us)
        err |= json_object_set_new(object, "rtt_ms", json_real(ms_of(result->rtt_us)));
    if (result->status)
        err |= json_object_set_new(object, "status", json_integer(result->status));
    if (err) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *json_of_rungs(const struct cv_survey_facts *facts)
{
    json_t *list = json_array();
    for (int i = 0; list && i < CV_RUNGS; i++) {
        if (json_array_append_new(list, json_of_rung((enum cv_rung)i, &facts->rungs[i])) == 0)
            continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *json_of_findings(const struct cv_verdict *verdict)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < verdict->finding_count; i++) {
        const struct cv_finding *finding = &verdict->findings[i];
        json_t *object = json_pack("{ss ss ss?}", "name", finding->name, "text", finding->text,
                                   "advice", finding->advice);
        if (object && json_array_append_new(list, object) == 0)
            continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *json_of_cuts(const struct cv_survey_facts *facts)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < facts->cut_count; i++) {
        if (json_array_append_new(list, json_integer(facts->cuts_ms[i])) == 0)
            continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *json_of_way(const struct cv_verdict *verdict)
{
    if (verdict->way == CV_WAY_NONE)
        return json_null();
    return json_pack("{ss sb sf si}", "name", verdict->name, "secure", verdict->secure, "ms",
                     ms_of(verdict->soon_us), "attempts", (int)verdict->attempts);
}

int cv_check_print_json(FILE *file, const char *url, const struct cv_survey_facts *facts,
                        const struct cv_verdict *verdict)
{
    // "o" takes over what it gets, and fails for NULL.
    json_t *root = json_pack("{ss sb so ss so so si so si}", "url", url, "works",
                             verdict->way != CV_WAY_NONE, "way", json_of_way(verdict), "obstacle",
                             verdict->findings[0].name, "findings", json_of_findings(verdict),
                             "rungs", json_of_rungs(facts), "held_ms", (int)facts->held_ms,
                             "cuts_ms", json_of_cuts(facts), "period_ms", (int)verdict->cut_ms);
    if (!root)
        return CV_E_NOMEM;
    int err = json_dumpf(root, file, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(root);
    fprintf(file, "\n");
    return err ? CV_E_SYSTEM : CV_OK;
}
