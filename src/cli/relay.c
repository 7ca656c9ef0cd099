// culvert relay: an RTMP server for the programs on this machine, whose streams go to a far one.
#include "cli/cli.h"

#include "base/limits.h"
#include "cli/relay_hub.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/signals.h"
#include "io/socket.h"

#include <stdio.h>

enum { TICK_US = 1000000, STOP_TICK_US = 10 * 1000 };

struct relay {
    struct cv_stream_options options; // first: its setters work on it
    struct cv_addr listen;
    struct cv_loop *loop;
    struct cv_signals *signals;
    struct cv_listener *listener;
    struct cv_relay_hub *hub;
    struct cv_timer tick;
    bool stopping;
};

// ---- options --------------------------------------------------------------------------------

static struct cv_addr local_address(uint16_t port)
{
    return (struct cv_addr){.family = CV_ADDR_IPV4, .port = port, .ip = {127, 0, 0, 1}};
}

static int set_listen(void *into, const char *value, struct cv_why *why)
{
    struct relay *relay = into;
    struct cv_addr addr;
    if (cv_addr_parse(value, CV_PORT_RTMP, &addr, NULL) != CV_OK)
        return cv_why_set(why, CV_E_USAGE, "options",
                          "--listen %.60s: an address and a port: 127.0.0.1:1935, [::1]:1935",
                          value);
    bool port_alone = addr.family == CV_ADDR_ANY && *value != '*' && *value != ':';
    relay->listen = port_alone ? local_address(addr.port) : addr;
    return CV_OK;
}

static const struct cv_option options[] = {
    {"listen", 0, "[ADDR:]PORT", "for local programs; default 127.0.0.1:1935", set_listen},
    CV_STREAM_OPTIONS,
};

// ---- running --------------------------------------------------------------------------------

static void on_signal(void *arg, enum cv_signal signal)
{
    struct relay *relay = arg;
    if (signal == CV_SIGNAL_USER)
        return;
    if (relay->stopping) {
        cv_loop_stop(relay->loop);
        return;
    }
    relay->stopping = true;
    cv_listener_free(relay->listener);
    relay->listener = NULL;
    cv_relay_hub_stop(relay->hub);
    cv_timer_start(&relay->tick, 0);
}

static void on_tick(void *arg)
{
    struct relay *relay = arg;
    if (!relay->stopping)
        cv_relay_hub_progress(relay->hub);
    else if (cv_relay_hub_is_idle(relay->hub))
        cv_loop_stop(relay->loop);
    cv_timer_start(&relay->tick, relay->stopping ? STOP_TICK_US : TICK_US);
}

static void say_where(const struct relay *relay, int fd, const struct cv_target *far)
{
    char text[CV_ADDR_TEXT_BYTES];
    struct cv_addr addr = relay->listen;
    cv_socket_local(fd, &addr);
    cv_addr_print(&addr, text);
    if (!cv_addr_is_loopback(&addr))
        fprintf(stderr, "culvert: warning: whoever reaches %s may use this relay\n", text);
    if (!relay->options.quiet)
        fprintf(stderr, "culvert: publish to and play from rtmp://%s/live/NAME; it goes to %s\n",
                text, far->display);
}

static int open_listener(struct relay *relay, const struct cv_target *far, struct cv_why *why)
{
    int fd;
    int err = cv_socket_listen(&relay->listen, &fd, 1, why);
    if (err != CV_OK)
        return err;
    say_where(relay, fd, far);
    relay->listener = cv_listener_new(relay->loop, fd, cv_relay_hub_accept, relay->hub);
    if (relay->listener)
        return CV_OK;
    cv_socket_close(&fd);
    return cv_why_set(why, CV_E_NOMEM, "relay", "no memory");
}

static int fail_listen(const struct cv_why *why)
{
    char text[sizeof why->text + 80];
    snprintf(text, sizeof text, "%s; take another one: --listen 127.0.0.1:1936", why->text);
    return cv_cli_fail(CV_EXIT_LISTEN, text);
}

static int go(struct relay *relay, const char *url, const struct cv_stream_plan *plan)
{
    struct cv_why why = {.code = CV_OK};
    cv_signals_ignore_pipe();
    relay->loop = cv_loop_new();
    relay->hub =
        relay->loop ? cv_relay_hub_new(relay->loop, &relay->options, url, plan->trust) : NULL;
    relay->signals = relay->hub ? cv_signals_new(relay->loop, on_signal, relay) : NULL;
    if (!relay->signals)
        return cv_cli_fail(CV_EXIT_FAILURE, "no memory");
    if (open_listener(relay, &plan->target, &why) != CV_OK)
        return fail_listen(&why);
    cv_timer_init(&relay->tick, relay->loop, on_tick, relay);
    cv_timer_start(&relay->tick, TICK_US);
    cv_loop_run(relay->loop);
    return CV_EXIT_OK;
}

static int run_relay(const struct cv_command *command, int argc, char **argv)
{
    struct relay relay = {.listen = local_address(CV_PORT_RTMP)};
    const char *words[1];
    size_t count;
    int end;
    struct cv_why why = {.code = CV_OK};
    struct cv_stream_plan plan;
    if (!cv_cli_options(command, argc, argv, &relay, words, 1, &count, &end))
        return end;
    if (count != 1)
        return cv_cli_usage(command, "a URL is needed: rtmp://HOST/APP or rtmp://HOST/APP/STREAM");
    if (cv_stream_plan_make(&plan, &relay.options, words[0], NULL, &why) != CV_OK)
        return cv_cli_usage(command, why.text);
    end = go(&relay, words[0], &plan);
    cv_timer_stop(&relay.tick);
    cv_listener_free(relay.listener);
    cv_signals_free(relay.signals);
    cv_relay_hub_free(relay.hub);
    cv_loop_free(relay.loop);
    cv_stream_plan_done(&plan);
    return end;
}

const struct cv_command cv_command_relay = {
    .name = "relay",
    .usage = "URL [OPTIONS]",
    .summary = "take OBS or FFmpeg past the firewall: a local RTMP server",
    .about = "Listens for programs on this machine that publish or play by plain RTMP, and\n"
             "carries their streams to and from URL by whatever way the network allows. When\n"
             "the way is cut or the far server restarts, they notice nothing: what they send\n"
             "waits in a bounded buffer, and follows.\n\n"
             "Where URL names no stream, the local name is put behind it: with rtmp://HOST/live\n"
             "and the stream key mystream?key=KEY in OBS, the stream is HOST/live/mystream.\n"
             "The local app does not matter. What the far server refuses, the encoder is told.",
    .examples = "  culvert relay rtmps://example.org/live\n"
                "  ffmpeg -re -i film.mp4 -c copy -f flv 'rtmp://127.0.0.1/live/film?key=KEY'\n"
                "  ffplay rtmp://127.0.0.1/live/film\n"
                "  culvert relay 'rtmp://example.org/live/film?key=KEY' --listen 127.0.0.1:1936\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = run_relay,
};
