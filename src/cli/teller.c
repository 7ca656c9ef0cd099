#include "cli/teller.h"

#include "base/limits.h"
#include "cli/cli.h"
#include "io/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <unistd.h>

enum { US_PER_MS = 1000, US_PER_S = 1000000 };

void cv_teller_init(struct cv_teller *teller, FILE *file, const struct cv_stream_options *options,
                    const char *host, uint64_t start_us)
{
    *teller = (struct cv_teller){
        .file = file,
        .options = options,
        .host = host,
        .terminal = isatty(fileno(file)),
        .start_us = start_us,
        .seen_us = start_us,
    };
}

// ---- lines ----------------------------------------------------------------------------------

static uint64_t since_start_us(const struct cv_teller *teller)
{
    return cv_clock_now_us() - teller->start_us;
}

static void wipe_line(struct cv_teller *teller)
{
    if (teller->line_stands)
        fputs("\r\033[K", teller->file);
    teller->line_stands = false;
}

static void print_line(struct cv_teller *teller, const char *text)
{
    wipe_line(teller);
    fprintf(teller->file, "culvert: %s%s%s\n", teller->label ? teller->label : "",
            teller->label ? ": " : "", text);
    fflush(teller->file);
}

void cv_teller_say(struct cv_teller *teller, const char *format, ...)
{
    char text[512];
    va_list args;
    if (teller->options->quiet)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_line(teller, text);
}

int cv_teller_fail(struct cv_teller *teller, int exit_code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(teller->failure, sizeof teller->failure, format, args);
    va_end(args);
    print_line(teller, teller->failure);
    return exit_code;
}

// ---- events ---------------------------------------------------------------------------------

static void tell_through(struct cv_teller *teller, const struct cv_connection_event *event)
{
    const char *name =
        event->stats.name ? event->stats.name : cv_way_name(event->way, event->secure);
    snprintf(teller->way, sizeof teller->way, "%s", name);
    teller->rtt_us = event->stats.rtt_us;
    teller->attempts = event->attempts;
    teller->through_us = since_start_us(teller);
    char rtt[32] = "";
    if (event->stats.rtt_us)
        snprintf(rtt, sizeof rtt, ", RTT %.*f ms", event->stats.rtt_us < 10 * US_PER_MS,
                 (double)event->stats.rtt_us / US_PER_MS);
    cv_teller_say(teller, "through: %s, %" PRIu64 " ms after the start, %" PRIu32 " attempt%s%s",
                  name, teller->through_us / US_PER_MS, event->attempts,
                  event->attempts == 1 ? "" : "s", rtt);
}

static void tell_resumed(struct cv_teller *teller, const struct cv_connection_event *event)
{
    double seconds = (double)event->since_us / US_PER_S;
    const char *by = event->stats.name;
    if (by)
        snprintf(teller->way, sizeof teller->way, "%s", by);
    if (event->lost)
        cv_teller_say(teller, "back after %.1f s%s%s, %" PRIu64 " messages lost", seconds,
                      by ? " by " : "", by ? by : "", event->lost);
    else
        cv_teller_say(teller, "back after %.1f s%s%s, nothing lost", seconds, by ? " by " : "",
                      by ? by : "");
}

static void tell_started(struct cv_teller *teller)
{
    if (teller->started_us)
        return;
    teller->started_us = since_start_us(teller);
    if (teller->options->verbose)
        cv_teller_say(teller, "started after %" PRIu64 " ms", teller->started_us / US_PER_MS);
}

static void tell_status(struct cv_teller *teller, const struct cv_connection_event *event)
{
    char code[100];
    char description[200];
    if (!teller->options->verbose)
        return;
    cv_text_escape(code, sizeof code, event->code);
    cv_text_escape(description, sizeof description, event->description);
    cv_teller_say(teller, "the server says %s%s%s", code, description[0] ? ": " : "", description);
}

void cv_teller_event(struct cv_teller *teller, const struct cv_connection_event *event)
{
    switch (event->type) {
    case CV_CONNECTION_TRYING:
        if (teller->options->verbose)
            cv_teller_say(teller, "trying %s", cv_way_name(event->way, event->secure));
        return;
    case CV_CONNECTION_THROUGH:
        tell_through(teller, event);
        return;
    case CV_CONNECTION_STARTED:
        tell_started(teller);
        return;
    case CV_CONNECTION_STATUS:
        tell_status(teller, event);
        return;
    case CV_CONNECTION_CUT:
        cv_teller_say(teller, "the way was cut: %s; coming back",
                      event->why && event->why->text[0] ? event->why->text : "no reason known");
        return;
    case CV_CONNECTION_RESUMED:
        tell_resumed(teller, event);
        return;
    case CV_CONNECTION_MESSAGE:
    case CV_CONNECTION_RESULT:
    case CV_CONNECTION_ROOM:
    case CV_CONNECTION_ENDED:
        return;
    }
}

void cv_teller_first_media(struct cv_teller *teller)
{
    if (teller->first_us)
        return;
    teller->first_us = since_start_us(teller);
    if (teller->options->verbose)
        cv_teller_say(teller, "first media after %" PRIu64 " ms", teller->first_us / US_PER_MS);
}

// ---- the line that renews itself ------------------------------------------------------------

void cv_teller_progress(struct cv_teller *teller, uint64_t time_ms,
                        const struct cv_connection_stats *stats)
{
    uint64_t now_us = cv_clock_now_us();
    uint64_t lasted_us = now_us > teller->seen_us ? now_us - teller->seen_us : 1;
    double mbps = (double)(stats->bytes - teller->seen_bytes) * 8 / (double)lasted_us;
    teller->seen_bytes = stats->bytes;
    teller->seen_us = now_us;
    if (stats->now.rtt_us)
        teller->rtt_us = stats->now.rtt_us;
    if (!teller->terminal || teller->options->quiet)
        return;
    wipe_line(teller);
    uint64_t s = time_ms / 1000;
    fprintf(teller->file, "\r%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 "  %.2f Mb/s  %s", s / 3600,
            s / 60 % 60, s % 60, mbps, stats->now.name ? stats->now.name : "no way at present");
    if (stats->now.rtt_us)
        fprintf(teller->file, "  RTT %.*f ms", stats->now.rtt_us < 10 * US_PER_MS,
                (double)stats->now.rtt_us / US_PER_MS);
    if (stats->waiting_bytes)
        fprintf(teller->file, "  waiting %" PRIu64 " KB", stats->waiting_bytes / 1024);
    fflush(teller->file);
    teller->line_stands = true;
}

// ---- the end --------------------------------------------------------------------------------

// What the server said, or what we know ourselves.
static void reason(char *out, size_t size, const struct cv_connection_event *event)
{
    struct cv_text said = event->description.len ? event->description : event->code;
    if (said.len)
        cv_text_escape(out, size, said);
    else if (event->why && event->why->text[0])
        snprintf(out, size, "%s", event->why->text);
    else
        snprintf(out, size, "%s", event->why ? cv_err_text(event->why->code) : "no reason known");
}

// The ladder's sentences are whole ones; here one stands behind a colon.
static void inner_sentence(char *out, size_t size, const char *sentence)
{
    snprintf(out, size, "%s", sentence);
    if (out[0] >= 'A' && out[0] <= 'Z' && !(out[1] >= 'A' && out[1] <= 'Z'))
        out[0] = (char)(out[0] - 'A' + 'a');
}

static int end_without_way(struct cv_teller *teller, const struct cv_connection_event *event)
{
    const char *advice = cv_obstacle_advice(event->obstacle);
    bool located = event->location && event->location[0];
    char where[160] = "";
    char obstacle[160];
    inner_sentence(obstacle, sizeof obstacle, cv_obstacle_text(event->obstacle));
    if (located)
        cv_text_escape(where, sizeof where, cv_text_of(event->location));
    cv_teller_fail(teller, CV_EXIT_NO_WAY, "no way to %s: %s%s%s", teller->host, obstacle,
                   located ? " " : "", where);
    if (advice)
        print_line(teller, advice);
    return CV_EXIT_NO_WAY;
}

static int end_by_certificate(struct cv_teller *teller, const struct cv_connection_event *event,
                              const char *why)
{
    const char *advice = cv_obstacle_advice(event->obstacle);
    cv_teller_fail(teller, CV_EXIT_CERTIFICATE, "no way to %s: %s", teller->host, why);
    if (advice)
        print_line(teller, advice);
    return CV_EXIT_CERTIFICATE;
}

int cv_teller_end(struct cv_teller *teller, const struct cv_connection_event *event)
{
    char why[200];
    reason(why, sizeof why, event);
    switch (event->end) {
    case CV_END_CLOSED:
    case CV_END_FINISHED:
        return CV_EXIT_OK;
    case CV_END_REFUSED:
        return cv_teller_fail(teller, CV_EXIT_REFUSED, "the server refuses: %s", why);
    case CV_END_NOT_FOUND:
        return cv_teller_fail(teller, CV_EXIT_NO_STREAM, "the server has no such stream: %s", why);
    case CV_END_UNKNOWN_HOST:
        return cv_teller_fail(teller, CV_EXIT_HOST, "there is no host \"%s\"", teller->host);
    case CV_END_NO_WAY:
        return end_without_way(teller, event);
    case CV_END_CERTIFICATE:
        return end_by_certificate(teller, event, why);
    case CV_END_LOST:
        return cv_teller_fail(teller, CV_EXIT_LOST,
                              "the connection was lost and did not come back: %s", why);
    case CV_END_FAILED:
        break;
    }
    return cv_teller_fail(teller, CV_EXIT_FAILURE, "it failed: %s", why);
}

// ---- JSON -----------------------------------------------------------------------------------

static void put_text(FILE *file, const char *name, const char *text)
{
    fprintf(file, "\"%s\": \"", name);
    for (const char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f) // what is not ASCII was escaped before, or does not matter
            fputc('?', file);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

// Milliseconds with microseconds behind the point; null for what has not happened.
static void put_ms(FILE *file, const char *name, uint64_t us)
{
    if (us)
        fprintf(file, ", \"%s\": %" PRIu64 ".%03" PRIu64, name, us / US_PER_MS, us % US_PER_MS);
    else
        fprintf(file, ", \"%s\": null", name);
}

void cv_teller_finish(struct cv_teller *teller, int exit_code,
                      const struct cv_connection_stats *stats)
{
    wipe_line(teller);
    if (!teller->options->json)
        return;
    FILE *file = teller->file;
    fprintf(file, "{\"exit\": %d, ", exit_code);
    put_text(file, "failure", teller->failure);
    fputs(", ", file);
    put_text(file, "way", teller->way);
    fprintf(file, ", \"attempts\": %" PRIu32, teller->attempts);
    put_ms(file, "through_ms", teller->through_us);
    put_ms(file, "started_ms", teller->started_us);
    put_ms(file, "first_media_ms", teller->first_us);
    put_ms(file, "rtt_ms", teller->rtt_us);
    fprintf(file,
            ", \"messages\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"cuts\": %" PRIu64
            ", \"lost\": %" PRIu64 "}\n",
            stats->messages, stats->bytes, stats->cuts, stats->lost);
    fflush(file);
}
