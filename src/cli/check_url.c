// culvert check: what the network does to each way to a server.
#include "cli/check_report.h"
#include "cli/cli.h"
#include "cli/stream_options.h"

#include "client/survey.h"
#include "io/loop.h"
#include "io/signals.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

enum { HOLD_MAX_S = 24 * 3600 };

struct check {
    struct cv_stream_options options; // the first: its setters work on it
    struct cv_stream_plan plan;
    uint32_t hold_s;
    bool terminal; // progress is shown
    struct cv_loop *loop;
    struct cv_attempt_room *room;
    struct cv_survey *survey;
    struct cv_signals *signals;
    int exit_code;
};

static int set_long(void *into, const char *value, struct cv_why *why)
{
    uint64_t seconds;
    if (cv_text_u64(cv_text_of(value), 1, HOLD_MAX_S, &seconds) != CV_OK)
        return cv_why_set(why, CV_E_USAGE, "options", "--long %.40s: seconds, 1 to %d", value,
                          HOLD_MAX_S);
    ((struct check *)into)->hold_s = (uint32_t)seconds;
    return CV_OK;
}

static const struct cv_option options[] = {
    {"via", 0, "WAY", "what publish would be told: rtmp, rtmpt, ws or auto", cv_stream_set_via},
    {"proxy", 0, "URL", "HTTP proxy, or none; default: as http_proxy and https_proxy say",
     cv_stream_set_proxy},
    CV_STREAM_TLS_OPTIONS,
    {"long", 0, "SECONDS", "then hold the way that wins, to see whether it is cut", set_long},
    {"json", 0, NULL, "print JSON", cv_stream_set_json},
};

// ---- progress -------------------------------------------------------------------------------

static void show(const struct check *check, const char *what)
{
    if (check->terminal && what)
        fprintf(stderr, "\r\033[K  %s ...", what);
    else if (check->terminal)
        fprintf(stderr, "\r\033[K");
}

// Behind a failure nothing is tried any more.
static void flush(struct check *check)
{
    if (fflush(stdout) == 0)
        return;
    check->exit_code = cv_cli_output_failed(errno);
    clearerr(stdout); // it was told
    cv_loop_stop(check->loop);
}

static void on_rung(void *arg, enum cv_rung rung, const struct cv_rung_result *result)
{
    struct check *check = arg;
    show(check, result ? NULL : cv_rung_name(rung));
    if (!result || check->options.json)
        return;
    cv_check_print_rung(stdout, rung, result);
    flush(check);
}

static void on_cut(void *arg, uint32_t age_ms)
{
    struct check *check = arg;
    if (check->options.json)
        return;
    cv_check_print_cut(stdout, age_ms);
    flush(check);
}

static int exit_code_of(const struct cv_survey_facts *facts, const struct cv_verdict *verdict)
{
    if (verdict->way != CV_WAY_NONE)
        return CV_EXIT_OK;
    if (facts->rungs[CV_RUNG_TLS].end == CV_RUNG_CERTIFICATE)
        return CV_EXIT_CERTIFICATE;
    bool unknown = !facts->proxy && facts->rungs[CV_RUNG_NAME].end == CV_RUNG_UNKNOWN_HOST;
    return unknown ? CV_EXIT_HOST : CV_EXIT_NO_WAY;
}

static void on_done(void *arg, const struct cv_survey_facts *facts,
                    const struct cv_verdict *verdict)
{
    struct check *check = arg;
    check->exit_code = exit_code_of(facts, verdict);
    if (!check->options.json)
        cv_check_print_verdict(stdout, facts, verdict);
    else if (cv_check_print_json(stdout, check->plan.target.display, facts, verdict) != CV_OK)
        check->exit_code = CV_EXIT_FAILURE;
    cv_loop_stop(check->loop);
}

static void on_signal(void *arg, enum cv_signal signal)
{
    struct check *check = arg;
    if (signal == CV_SIGNAL_USER)
        return;
    show(check, NULL);
    check->exit_code = CV_EXIT_INTERRUPTED;
    cv_loop_stop(check->loop);
}

// ---- running --------------------------------------------------------------------------------

static bool start(struct check *check)
{
    const struct cv_stream_plan *plan = &check->plan;
    struct cv_survey_config config = {
        .target = &plan->target,
        .proxy = cv_stream_plan_proxy(plan),
        .trust = plan->trust,
        .via = plan->via,
        .hold_s = check->hold_s,
        .on_rung = on_rung,
        .on_cut = on_cut,
        .on_done = on_done,
        .arg = check,
    };
    cv_signals_ignore_pipe();
    check->loop = cv_loop_new();
    check->signals = check->loop ? cv_signals_new(check->loop, on_signal, check) : NULL;
    check->room = check->signals ? cv_attempt_room_new(check->loop) : NULL;
    check->survey = check->room ? cv_survey_start(check->room, &config) : NULL;
    return check->survey;
}

static int go(struct check *check)
{
    const char *proxy = cv_stream_plan_proxy(&check->plan)->host;
    check->terminal = isatty(STDERR_FILENO);
    if (!check->options.json)
        printf("%s%s%s\n\n", check->plan.target.display, *proxy ? " by the proxy " : "", proxy);
    bool started = start(check);
    if (started)
        cv_loop_run(check->loop);
    cv_survey_free(&check->survey);
    cv_signals_free(check->signals);
    cv_attempt_room_free(check->room);
    cv_loop_free(check->loop);
    return started ? check->exit_code : cv_cli_fail(CV_EXIT_FAILURE, cv_err_text(CV_E_NOMEM));
}

static int run_check(const struct cv_command *command, int argc, char **argv)
{
    static struct check check;
    const char *words[1];
    size_t count;
    int end;
    struct cv_why why = {.code = CV_OK};
    check = (struct check){.options = {.no_memory = true}};
    if (!cv_cli_options(command, argc, argv, &check, words, 1, &count, &end))
        return end;
    if (count != 1)
        return cv_cli_usage(command, "a URL is needed: rtmp://HOST/APP");
    if (cv_stream_plan_make(&check.plan, &check.options, words[0], NULL, &why) != CV_OK)
        return cv_cli_usage(command, why.text);
    end = go(&check);
    cv_stream_plan_done(&check.plan);
    return end;
}

const struct cv_command cv_command_check = {
    .name = "check",
    .usage = "URL [OPTIONS]",
    .summary = "tell what the network does to each way to a server",
    .about = "Looks the name up, connects to the port, and tries each way by itself: plain RTMP,\n"
             "the offer, RTMPT, WebSocket, and through the proxy, if one is set; then the same\n"
             "inside TLS, where the URL allows it. Tells what the network did to each and how\n"
             "long that took; then which way a stream would take and how soon, what is in the\n"
             "way, and what to ask an administrator for. The URL needs no stream: nothing is\n"
             "published or played. Ends with 0 when any way works.",
    .examples = "  culvert check rtmp://example.org/live\n"
                "  culvert check rtmps://example.org/live --ca inspection.pem\n"
                "  culvert check rtmp://example.org/live --long 120\n"
                "  culvert check rtmp://example.org/live --proxy http://proxy.example:3128\n"
                "  culvert check rtmp://example.org/live --json | jq .obstacle\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = run_check,
};
