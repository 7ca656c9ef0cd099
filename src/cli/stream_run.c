#include "cli/stream_run.h"

#include "cli/cli.h"
#include "io/signals.h"

enum { TICK_US = 1000000 };

static void on_signal(void *arg, enum cv_signal signal)
{
    struct cv_stream_run *run = arg;
    if (signal == CV_SIGNAL_USER)
        return;
    bool again = run->interrupted;
    run->interrupted = true;
    if (again)
        cv_stream_run_end(run, CV_EXIT_INTERRUPTED);
    else
        run->user->stop(run->arg);
}

static void on_tick(void *arg)
{
    struct cv_stream_run *run = arg;
    cv_timer_start(&run->tick, TICK_US);
    if (!run->connection)
        return;
    run->stats = cv_connection_stats(run->connection);
    if (run->teller.started_us)
        cv_teller_progress(&run->teller, run->user->time_ms(run->arg), &run->stats);
}

static void on_event(void *arg, const struct cv_connection_event *event)
{
    struct cv_stream_run *run = arg;
    if (event->type == CV_CONNECTION_ENDED)
        run->stats = cv_connection_stats(run->connection);
    cv_teller_event(&run->teller, event);
    run->user->event(run->arg, event);
}

int cv_stream_run_init(struct cv_stream_run *run, const struct cv_stream_options *options,
                       const struct cv_stream_plan *plan, const struct cv_stream_user *user,
                       void *arg, uint64_t start_us)
{
    *run = (struct cv_stream_run){.options = options, .plan = plan, .user = user, .arg = arg};
    cv_teller_init(&run->teller, stderr, options, plan->target.host, start_us);
    cv_signals_ignore_pipe();
    run->loop = cv_loop_new();
    if (!run->loop)
        return CV_E_NOMEM;
    cv_timer_init(&run->tick, run->loop, on_tick, run);
    cv_timer_start(&run->tick, TICK_US);
    run->signals = cv_signals_new(run->loop, on_signal, run);
    run->room = cv_attempt_room_new(run->loop);
    return run->signals && run->room ? CV_OK : CV_E_NOMEM;
}

int cv_stream_run_connect(struct cv_stream_run *run, struct cv_connection_config *config)
{
    cv_stream_plan_apply(run->plan, config);
    config->on_event = on_event;
    config->arg = run;
    run->connection = cv_connection_new(run->room, config);
    return run->connection ? CV_OK : CV_E_NOMEM;
}

void cv_stream_run_end(struct cv_stream_run *run, int exit_code)
{
    run->exit_code = exit_code;
    cv_loop_stop(run->loop);
}

int cv_stream_run_go(struct cv_stream_run *run)
{
    cv_loop_run(run->loop);
    cv_teller_finish(&run->teller, run->exit_code, &run->stats);
    return run->exit_code;
}

void cv_stream_run_done(struct cv_stream_run *run)
{
    cv_connection_free(&run->connection);
    cv_timer_stop(&run->tick);
    cv_signals_free(run->signals);
    cv_attempt_room_free(run->room);
    cv_loop_free(run->loop); // the room is known to it
}
