#include "io/signals.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/loop_uv.h"

#include <signal.h>
#include <uv.h>

static const struct {
    int number;
    enum cv_signal signal;
} signal_rows[] = {
    {SIGTERM, CV_SIGNAL_STOP},
    {SIGINT, CV_SIGNAL_STOP},
    {SIGHUP, CV_SIGNAL_RELOAD},
    {SIGUSR1, CV_SIGNAL_USER},
};

enum { SIGNALS = sizeof signal_rows / sizeof signal_rows[0] };

struct cv_signals {
    struct cv_loop *loop;
    void (*fn)(void *arg, enum cv_signal signal);
    void *arg;
    uv_signal_t handles[SIGNALS];
    unsigned open; // handles that are not closed yet
};

void cv_signals_ignore_pipe(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    int failed = sigaction(SIGPIPE, &ignore, NULL);
    CV_ASSERT(!failed);
}

static void on_uv_signal(uv_signal_t *handle, int number)
{
    struct cv_signals *signals = handle->data;
    cv__loop_enter(signals->loop);
    for (size_t i = 0; i < SIGNALS; i++) {
        if (signal_rows[i].number == number)
            signals->fn(signals->arg, signal_rows[i].signal);
    }
}

struct cv_signals *cv_signals_new(struct cv_loop *loop,
                                  void (*fn)(void *arg, enum cv_signal signal), void *arg)
{
    struct cv_signals *signals = cv_mem_zero(1, sizeof *signals);
    if (!signals)
        return NULL;
    signals->loop = loop;
    signals->fn = fn;
    signals->arg = arg;
    for (size_t i = 0; i < SIGNALS; i++) {
        int failed = uv_signal_init(cv__loop_uv(loop), &signals->handles[i]);
        failed = failed
                     ? failed
                     : uv_signal_start(&signals->handles[i], on_uv_signal, signal_rows[i].number);
        CV_ASSERT(!failed); // they fail for wrong signal numbers only
        signals->handles[i].data = signals;
        signals->open++;
    }
    return signals;
}

static void on_uv_closed(uv_handle_t *handle)
{
    struct cv_signals *signals = handle->data;
    if (--signals->open == 0)
        cv_mem_free(signals);
}

void cv_signals_free(struct cv_signals *signals)
{
    if (!signals)
        return;
    for (size_t i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&signals->handles[i], on_uv_closed);
}
