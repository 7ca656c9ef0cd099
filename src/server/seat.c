#include "server/seat.h"

#include "server/outlet.h"
#include "server/worker.h"

int cv_seat_take(struct cv_seat *seat, struct cv_worker *worker, const struct cv_path *path,
                 struct cv_policy *policy, const struct cv_config_app *app)
{
    struct cv_pass *pass = seat->pass;
    struct cv_stream_settings settings = cv_policy_stream_settings(app);
    seat->outlet = cv_outlet_get(worker, path, &settings.log, &pass->wanted);
    if (!seat->outlet)
        return CV_E_NOMEM;
    seat->cursor = cv_cursor_new();
    pass->policy = cv_policy_ref(policy);
    pass->app = app;
    pass->path = *path;
    pass->waiting_us = cv_loop_now_us(worker->loop);
    DL_APPEND(seat->outlet->seats, seat);
    seat->outlet->seat_count++;
    worker->stats.viewers++;
    return CV_OK;
}

void cv_seat_leave(struct cv_seat *seat)
{
    struct cv_pass *pass = seat->pass;
    seat->outlet->worker->stats.viewers--;
    DL_DELETE(seat->outlet->seats, seat);
    seat->outlet->seat_count--;
    cv_outlet_release(seat->outlet);
    cv_policy_leave_viewer(pass->policy, pass->app, &pass->path);
    cv_policy_unref(&pass->policy);
}

int cv_seat_next(struct cv_seat *seat, struct cv_msg *out)
{
    struct cv_worker_stats *stats = &seat->outlet->worker->stats;
    uint32_t jumps = seat->cursor.jumps;
    uint64_t skipped = seat->cursor.skipped;
    int more = cv_cursor_next(&seat->cursor, seat->outlet->log, out);
    stats->jumps += seat->cursor.jumps - jumps;
    stats->skipped += seat->cursor.skipped - skipped;
    return more;
}

uint64_t cv_seat_last_number(const struct cv_seat *seat)
{
    return cv_cursor_last_number(&seat->cursor, seat->outlet->log);
}

bool cv_seat_find_place(struct cv_seat *seat)
{
    uint64_t seq;
    int found = cv_outlet_find(seat->outlet, &seat->pass->wanted, &seq);
    if (found == 1)
        cv_cursor_resume_at(&seat->cursor, seat->outlet->log, seq);
    return found != 0;
}

bool cv_seat_behind(const struct cv_seat *seat)
{
    return cv_cursor_behind(&seat->cursor, seat->outlet->log);
}

void cv_seat_on_state(struct cv_seat *seat)
{
    struct cv_pass *pass = seat->pass;
    if (seat->outlet->live)
        pass->waiting_us = UINT64_MAX;
    else if (pass->waiting_us == UINT64_MAX)
        pass->waiting_us = cv_loop_now_us(seat->outlet->worker->loop);
    cv_cursor_wait(&seat->cursor, seat->outlet->log);
}

void cv_seat_on_log(struct cv_seat *seat)
{
    cv_cursor_rejoin(&seat->cursor);
    cv_cursor_wait(&seat->cursor, seat->outlet->log);
}

uint64_t cv_seat_deadline_us(const struct cv_seat *seat)
{
    const struct cv_pass *pass = seat->pass;
    if (pass->waiting_us == UINT64_MAX)
        return UINT64_MAX;
    return pass->waiting_us + pass->app->play_wait_s * UINT64_C(1000000);
}
