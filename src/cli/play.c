// culvert play: a live stream from a server, written as FLV.
#include "cli/cli.h"

#include "base/text.h"
#include "cli/sink.h"
#include "cli/stream_run.h"
#include "io/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    US_PER_S = 1000000,
    AGAIN_US = 500 * 1000,     // before a stream that is not there is asked for again
    LAST_WRITE_US = US_PER_S,  // for a slow reader to take the rest, behind Ctrl-C
    SECONDS_MAX = 365 * 86400, //
};

struct play {
    struct cv_stream_options options; // first: its setters work on it
    const char *path;
    uint64_t duration_us; // 0: no limit
    uint64_t wait_us;     // for the stream to be there
    uint64_t start_us;
    struct cv_stream_plan plan;
    struct cv_stream_run run;
    struct cv_sink *sink;
    struct cv_timer timer; // the duration's end, the next attempt, or the last writing's end
    bool closing;
    bool over;     // ENDED has come
    int exit_code; // when the sink is through
};

// ---- options --------------------------------------------------------------------------------

static int read_seconds(const char *name, const char *value, uint64_t *out_us, struct cv_why *why)
{
    uint64_t seconds;
    if (cv_text_u64(cv_text_of(value), 1, SECONDS_MAX, &seconds) != CV_OK)
        return cv_why_set(why, CV_E_USAGE, "options", "--%s %.60s: a number of seconds is needed",
                          name, value);
    *out_us = seconds * US_PER_S;
    return CV_OK;
}

static int set_output(void *into, const char *value, struct cv_why *why)
{
    if (*value == '\0')
        return cv_why_set(why, CV_E_USAGE, "options", "--output needs the name of a file");
    ((struct play *)into)->path = value;
    return CV_OK;
}

static int set_duration(void *into, const char *value, struct cv_why *why)
{
    return read_seconds("duration", value, &((struct play *)into)->duration_us, why);
}

static int set_wait(void *into, const char *value, struct cv_why *why)
{
    return read_seconds("wait", value, &((struct play *)into)->wait_us, why);
}

static const struct cv_option options[] = {
    {"output", 'o', "FILE|-", "write here; default: standard output", set_output},
    {"duration", 0, "SECONDS", "end so long after the first media", set_duration},
    {"wait", 0, "SECONDS", "wait so long for a publisher, not for a server", set_wait},
    CV_STREAM_OPTIONS,
};

// ---- the end --------------------------------------------------------------------------------

static void say_goodbye(struct play *play)
{
    if (play->closing && !play->over)
        return;
    play->closing = true;
    cv_timer_stop(&play->timer);
    if (play->run.connection && !play->over)
        cv_connection_close(play->run.connection);
    else
        cv_stream_run_end(&play->run, play->exit_code);
}

// The stream is over; what is still in the queue is written.
static void finish(struct play *play, int exit_code)
{
    play->exit_code = exit_code;
    if (!play->sink) {
        cv_stream_run_end(&play->run, exit_code);
        return;
    }
    cv_sink_finish(play->sink);
    if (play->run.interrupted)
        cv_timer_start(&play->timer, LAST_WRITE_US);
}

static void on_sink_end(void *arg, int code, const struct cv_why *why)
{
    struct play *play = arg;
    struct cv_teller *teller = &play->run.teller;
    uint64_t skipped = cv_sink_skipped(play->sink);
    if (skipped)
        cv_teller_say(teller, "the reader was too slow: %llu messages were skipped",
                      (unsigned long long)skipped);
    if (code == CV_OK) {
        cv_stream_run_end(&play->run, play->exit_code);
        return;
    }
    play->exit_code = code == CV_E_CLOSED ? cv_teller_fail(teller, CV_EXIT_READER,
                                                           "the reader of the output has gone")
                                          : cv_teller_fail(teller, CV_EXIT_FILE, "%s", why->text);
    cv_sink_free(&play->sink); // with `why` in it
    say_goodbye(play);
}

static void on_stop(void *arg)
{
    struct play *play = arg;
    play->exit_code = CV_EXIT_INTERRUPTED;
    say_goodbye(play);
}

// ---- the connection -------------------------------------------------------------------------

static void connect_again(struct play *play);

static void on_timer(void *arg)
{
    struct play *play = arg;
    if (play->run.interrupted)
        cv_stream_run_end(&play->run, play->exit_code);
    else if (!play->run.connection)
        connect_again(play);
    else
        say_goodbye(play); // the duration is over
}

static void on_message(struct play *play, const struct cv_msg *msg)
{
    if (!play->sink)
        return;
    if (msg->type != CV_MSG_DATA_AMF0 && !play->run.teller.first_us) {
        cv_teller_first_media(&play->run.teller);
        if (play->duration_us)
            cv_timer_start(&play->timer, play->duration_us);
    }
    cv_sink_put(play->sink, msg);
}

static bool waits(const struct play *play, const struct cv_connection_event *event)
{
    return event->end == CV_END_NOT_FOUND && !play->closing && !play->run.teller.first_us &&
           cv_clock_now_us() - play->start_us < play->wait_us;
}

static void on_ended(struct play *play, const struct cv_connection_event *event)
{
    if (waits(play, event)) {
        cv_connection_free(&play->run.connection);
        cv_timer_start(&play->timer, AGAIN_US);
        return;
    }
    play->over = true;
    cv_timer_stop(&play->timer);
    int code = cv_teller_end(&play->run.teller, event);
    finish(play, code != CV_EXIT_OK ? code : play->exit_code);
}

static void on_event(void *arg, const struct cv_connection_event *event)
{
    struct play *play = arg;
    switch (event->type) {
    case CV_CONNECTION_MESSAGE:
        on_message(play, &event->msg);
        return;
    case CV_CONNECTION_RESUMED:
        if (play->sink)
            cv_sink_resumed(play->sink);
        return;
    case CV_CONNECTION_ENDED:
        on_ended(play, event);
        return;
    default:
        return;
    }
}

static uint64_t time_ms(void *arg)
{
    const struct play *play = arg;
    return play->sink ? cv_sink_time_ms(play->sink) : 0;
}

static const struct cv_stream_user user = {
    .event = on_event,
    .stop = on_stop,
    .time_ms = time_ms,
};

// ---- running --------------------------------------------------------------------------------

static int connect_now(struct play *play)
{
    struct cv_connection_config config = {.mode = CV_RTMP_CLIENT_PLAY};
    return cv_stream_run_connect(&play->run, &config);
}

static void connect_again(struct play *play)
{
    if (connect_now(play) != CV_OK)
        cv_stream_run_end(&play->run, cv_teller_fail(&play->run.teller, CV_EXIT_FAILURE, "%s",
                                                     cv_err_text(CV_E_NOMEM)));
}

static int go(struct play *play)
{
    struct cv_why why = {.code = CV_OK};
    int fd;
    if (cv_sink_descriptor(&fd, play->path, &why) != CV_OK)
        return cv_cli_fail(CV_EXIT_FILE, why.text);
    int err =
        cv_stream_run_init(&play->run, &play->options, &play->plan, &user, play, play->start_us);
    if (err != CV_OK)
        return cv_cli_fail(CV_EXIT_FAILURE, cv_err_text(err));
    cv_timer_init(&play->timer, play->run.loop, on_timer, play);
    play->sink = cv_sink_new(play->run.loop, fd, play->path, on_sink_end, play);
    err = play->sink ? connect_now(play) : CV_E_NOMEM;
    if (err != CV_OK)
        return cv_cli_fail(CV_EXIT_FAILURE, cv_err_text(err));
    return cv_stream_run_go(&play->run);
}

static int run_play(const struct cv_command *command, int argc, char **argv)
{
    static struct play play; // too large for a stack
    const char *words[1];
    size_t count;
    int end;
    struct cv_why why = {.code = CV_OK};
    play = (struct play){.path = "-", .start_us = cv_clock_now_us()};
    if (!cv_cli_options(command, argc, argv, &play, words, 1, &count, &end))
        return end;
    if (count != 1)
        return cv_cli_usage(command, "a URL is needed: rtmp://HOST/APP/STREAM");
    if (strcmp(play.path, "-") == 0 && isatty(STDOUT_FILENO))
        return cv_cli_usage(command, "FLV is nothing for a terminal: -o FILE, or a pipe to a "
                                     "player: culvert play URL | ffplay -");
    if (cv_stream_plan_make(&play.plan, &play.options, words[0], NULL, &why) != CV_OK)
        return cv_cli_usage(command, why.text);
    if (play.plan.target.name[0])
        end = go(&play);
    else
        end = cv_cli_usage(command, "the URL names no stream: rtmp://HOST/APP/STREAM");
    cv_sink_free(&play.sink);
    cv_timer_stop(&play.timer);
    cv_stream_run_done(&play.run);
    cv_stream_plan_done(&play.plan);
    return end;
}

const struct cv_command cv_command_play = {
    .name = "play",
    .usage = "URL [OPTIONS]",
    .summary = "take a live stream and write it as FLV",
    .about = "Plays by whatever way the network allows, as culvert publish does, and writes FLV:\n"
             "to a file, or to a pipe that leads to a player. Ends with 0 when the stream is\n"
             "over. The times begin at 0. A reader that is too slow skips to the newest key\n"
             "frame, as it would at the server.",
    .examples = "  culvert play rtmp://example.org/live/film | ffplay -\n"
                "  culvert play rtmp://example.org/live/film | mpv -\n"
                "  culvert play rtmps://example.org/live/film -o film.flv --duration 3600\n"
                "  culvert play ws://example.org/live/film -o film.flv --wait 600 -v\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = run_play,
};
