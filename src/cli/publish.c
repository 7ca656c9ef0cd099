// culvert publish: an FLV file or pipe, sent to a server as a live stream.
#include "cli/cli.h"

#include "cli/feeder.h"
#include "cli/stream_run.h"
#include "io/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DRAIN_TICK_US = 20 * 1000,    // while it waits for what was sent to arrive
    STOP_US = 3 * 1000000,        // for the goodbye behind Ctrl-C, whatever the network does
    DRAIN_STUCK_US = 3 * 1000000, // nothing moves any more: not all servers tell what has arrived
};

struct publish {
    struct cv_stream_options options; // first: its setters work on it
    bool loops;
    const char *path;
    struct cv_stream_plan plan;
    struct cv_stream_run run;
    struct cv_feeder *feeder;
    struct cv_timer drain;
    uint64_t waiting_bytes; // when it was looked at last, while draining
    uint64_t moved_us;      // when that changed
    bool sent;              // something was
    bool closing;           // cv_connection_close was called
    int exit_code;          // of a failure of our own; else CV_EXIT_OK
};

// ---- options --------------------------------------------------------------------------------

CV_OPTION_FLAG(set_loop, struct publish, loops)

static const struct cv_option options[] = {
    {"loop", 0, NULL, "begin the file again at its end, until Ctrl-C", set_loop},
    CV_STREAM_OPTIONS,
};

// ---- winding up -----------------------------------------------------------------------------

static void say_goodbye(struct publish *publish)
{
    if (publish->closing)
        return;
    publish->closing = true;
    cv_timer_stop(&publish->drain);
    cv_connection_close(publish->run.connection);
}

// Everything has been read. It is over when everything has arrived, or a way that is there takes
// nothing any more.
static void on_drain(void *arg)
{
    struct publish *publish = arg;
    if (publish->run.interrupted) {
        cv_stream_run_end(&publish->run, publish->exit_code);
        return;
    }
    uint64_t now_us = cv_loop_now_us(publish->run.loop);
    struct cv_connection_stats stats = cv_connection_stats(publish->run.connection);
    if (stats.waiting_bytes != publish->waiting_bytes || !stats.now.name)
        publish->moved_us = now_us;
    publish->waiting_bytes = stats.waiting_bytes;
    bool arrived = publish->run.teller.started_us && stats.now.name && stats.waiting_bytes == 0;
    if (arrived || now_us - publish->moved_us >= DRAIN_STUCK_US)
        say_goodbye(publish);
    else
        cv_timer_start(&publish->drain, DRAIN_TICK_US);
}

static void on_fed(void *arg, int code, const struct cv_why *why)
{
    struct publish *publish = arg;
    if (code == CV_E_USAGE || publish->closing) // the connection has ended: its own event tells
        return;
    if (code != CV_OK)
        publish->exit_code = cv_teller_fail(&publish->run.teller, CV_EXIT_FILE, "%s", why->text);
    publish->moved_us = cv_loop_now_us(publish->run.loop);
    if (publish->sent)
        on_drain(publish);
    else
        say_goodbye(publish);
}

static void on_stop(void *arg)
{
    struct publish *publish = arg;
    publish->exit_code = CV_EXIT_INTERRUPTED;
    cv_feeder_free(&publish->feeder);
    say_goodbye(publish);
    cv_timer_start(&publish->drain, STOP_US);
}

// ---- the connection -------------------------------------------------------------------------

static int send_message(void *arg, const struct cv_msg *msg)
{
    struct publish *publish = arg;
    publish->sent = true;
    return cv_connection_send(publish->run.connection, msg);
}

static void on_event(void *arg, const struct cv_connection_event *event)
{
    struct publish *publish = arg;
    int code;
    switch (event->type) {
    case CV_CONNECTION_STARTED:
        if (publish->feeder)
            cv_feeder_start(publish->feeder);
        return;
    case CV_CONNECTION_ROOM:
        if (publish->feeder)
            cv_feeder_resume(publish->feeder);
        return;
    case CV_CONNECTION_ENDED:
        code = cv_teller_end(&publish->run.teller, event);
        cv_stream_run_end(&publish->run, code != CV_EXIT_OK ? code : publish->exit_code);
        return;
    default:
        return;
    }
}

static uint64_t time_ms(void *arg)
{
    const struct publish *publish = arg;
    return publish->feeder ? cv_feeder_time_ms(publish->feeder) : 0;
}

static const struct cv_stream_user user = {
    .event = on_event,
    .stop = on_stop,
    .time_ms = time_ms,
};

// ---- running --------------------------------------------------------------------------------

// The descriptor, or -1 when it was told why there is none.
static int open_input(const struct publish *publish)
{
    bool standard = strcmp(publish->path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(publish->path, O_RDONLY | O_CLOEXEC);
    const char *name = standard ? "standard input" : publish->path;
    struct stat stat;
    const char *wrong = NULL;
    if (fd < 0 || fstat(fd, &stat) != 0)
        wrong = strerror(errno);
    else if (S_ISDIR(stat.st_mode))
        wrong = "is a folder";
    else if (isatty(fd))
        wrong = "is a terminal: an FLV stream is needed";
    else if (publish->loops && !S_ISREG(stat.st_mode))
        wrong = "is no file: --loop cannot begin it again";
    if (!wrong)
        return fd;
    struct cv_why why = {.code = CV_OK};
    cv_why_set(&why, CV_E_SYSTEM, "input", "%.80s: %.70s", name, wrong); // a name may hold anything
    cv_cli_fail(CV_EXIT_FILE, why.text);
    if (fd > STDERR_FILENO)
        close(fd);
    return -1;
}

static int begin(struct publish *publish, int fd)
{
    struct cv_feeder_config feeder = {
        .loop = publish->run.loop,
        .fd = fd,
        .name = strcmp(publish->path, "-") == 0 ? "standard input" : publish->path,
        .loops = publish->loops,
        .send = send_message,
        .on_end = on_fed,
        .arg = publish,
    };
    struct cv_connection_config connection = {.mode = CV_RTMP_CLIENT_PUBLISH, .keep_all = true};
    cv_timer_init(&publish->drain, publish->run.loop, on_drain, publish);
    int err = cv_stream_run_connect(&publish->run, &connection);
    if (err != CV_OK)
        return err;
    publish->feeder = cv_feeder_new(&feeder);
    return publish->feeder ? CV_OK : CV_E_NOMEM;
}

static int run_plan(struct publish *publish, uint64_t start_us)
{
    int fd = open_input(publish);
    if (fd < 0)
        return CV_EXIT_FILE;
    int end;
    int err = cv_stream_run_init(&publish->run, &publish->options, &publish->plan, &user, publish,
                                 start_us);
    if (err == CV_OK)
        err = begin(publish, fd);
    if (err == CV_OK)
        end = cv_stream_run_go(&publish->run);
    else
        end = cv_cli_fail(CV_EXIT_FAILURE, cv_err_text(err));
    cv_feeder_free(&publish->feeder);
    cv_timer_stop(&publish->drain);
    cv_stream_run_done(&publish->run);
    return end;
}

static int run_publish(const struct cv_command *command, int argc, char **argv)
{
    uint64_t start_us = cv_clock_now_us();
    static struct publish publish; // too large for a stack
    const char *words[2];
    size_t count;
    int end;
    struct cv_why why = {.code = CV_OK};
    publish = (struct publish){.loops = false};
    if (!cv_cli_options(command, argc, argv, &publish, words, 2, &count, &end))
        return end;
    if (count != 2)
        return cv_cli_usage(command, "FILE (or - for standard input) and URL are needed");
    publish.path = words[0];
    if (cv_stream_plan_make(&publish.plan, &publish.options, words[1], NULL, &why) != CV_OK)
        return cv_cli_usage(command, why.text);
    if (publish.plan.target.name[0])
        end = run_plan(&publish, start_us);
    else
        end = cv_cli_usage(command, "the URL names no stream: rtmp://HOST/APP/STREAM");
    cv_stream_plan_done(&publish.plan);
    return end;
}

const struct cv_command cv_command_publish = {
    .name = "publish",
    .usage = "FILE|- URL [OPTIONS]",
    .summary = "send an FLV file or pipe as a live stream",
    .about = "Publishes at the pace of a clock, by whatever way the network allows: RTMP, or\n"
             "HTTP that RTMP hides behind, RTMPT, a WebSocket, a proxy. When the way is cut, it\n"
             "comes back by itself; what was read meanwhile follows, and nothing is lost.\n\n"
             "URL is rtmp://HOST[:PORT]/APP/STREAM; the port is 80 unless it is given. A key goes\n"
             "behind the stream: rtmp://HOST/live/STREAM?key=KEY. rtmps:// is the same inside\n"
             "TLS, on port 443, and never goes without; rtmp:// without a port may use that, too,\n"
             "where port 80 leads nowhere. rtmpt:// and ws:// choose their way, rtmpts:// and\n"
             "wss:// the same inside TLS. The file's times may begin anywhere: the stream begins\n"
             "at 0.",
    .examples =
        "  culvert publish film.flv 'rtmps://example.org/live/film?key=KEY'\n"
        "  culvert publish --loop test.flv rtmp://localhost:8080/live/test\n"
        "  ffmpeg -re -i film.mp4 -c copy -f flv - | culvert publish - rtmp://HOST/live/film\n"
        "  culvert publish film.flv rtmp://HOST/live/film --via rtmpt -v\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = run_publish,
};
