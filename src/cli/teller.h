// Tells people on standard error how a connection fares: one line per event, a line that renews
// itself once a second on a terminal, one sentence when it fails.
#ifndef CV_CLI_TELLER_H
#define CV_CLI_TELLER_H

#include "cli/stream_options.h"

#include <stdio.h>

struct cv_teller {
    FILE *file;
    const struct cv_stream_options *options; // borrowed
    const char *host;                        // borrowed: the server's, for sentences
    const char *label; // borrowed: of one connection among several; NULL: there is one
    bool terminal;
    bool line_stands;  // the line that renews itself is shown
    uint64_t start_us; // of the program; all times are counted from here
    // for the rate
    uint64_t seen_bytes;
    uint64_t seen_us;
    // for the end
    char way[48]; // the latest one, as cv_attempt_stats names it
    uint32_t attempts;
    uint32_t rtt_us;
    uint64_t through_us; // 0: it has not come to that
    uint64_t started_us;
    uint64_t first_us;
    char failure[256]; // the sentence; empty: none
};

// Tells to `file`. start_us by cv_clock_now_us.
void cv_teller_init(struct cv_teller *teller, FILE *file, const struct cv_stream_options *options,
                    const char *host, uint64_t start_us);
// Tells an event; MESSAGE and ENDED are not told here.
void cv_teller_event(struct cv_teller *teller, const struct cv_connection_event *event);
// The first media have come. Later calls do nothing.
void cv_teller_first_media(struct cv_teller *teller);
// Renews the line: stream time and what the connection says of itself. Only on a terminal.
void cv_teller_progress(struct cv_teller *teller, uint64_t time_ms,
                        const struct cv_connection_stats *stats);
// One line, unless --quiet.
void cv_teller_say(struct cv_teller *teller, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// One line, always; it is the failure that the line of JSON names. Returns `exit_code`.
int cv_teller_fail(struct cv_teller *teller, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Behind ENDED: the sentence and the advice that belong to it, if it was a failure. How to exit.
int cv_teller_end(struct cv_teller *teller, const struct cv_connection_event *event);
// The last line, in JSON where that was asked for; takes the line that renews itself away.
void cv_teller_finish(struct cv_teller *teller, int exit_code,
                      const struct cv_connection_stats *stats);

#endif
