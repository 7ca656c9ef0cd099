#include "server/splice.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "server/conn.h"
#include "server/worker.h"

// One of the two connections, and the direction towards it.
struct side {
    struct splice *splice;
    struct side *other;
    struct cv_conn *conn;
    struct cv_leftover left; // waits to be written to it
    bool ended;              // nothing comes from it any more
    bool shut;               // nothing goes to it any more
};

struct splice {
    struct side sides[2];
    struct cv_timer timer;
    uint64_t heard_us;
};

static uint64_t now_us(const struct splice *splice)
{
    return cv_loop_now_us(splice->sides[0].conn->worker->loop);
}

static void splice_end(struct splice *splice, int code, const char *why)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_DEBUG, "splice.close");
    cv_conn_log_fields(splice->sides[0].conn, &line);
    cv_line_err(&line, code);
    cv_line_text(&line, "why", why);
    cv_line_end(&line);
    for (int i = 0; i < 2; i++) {
        cv_leftover_done(&splice->sides[i].left);
        cv_conn_free(splice->sides[i].conn);
    }
    cv_timer_stop(&splice->timer);
    cv_mem_free(splice);
}

static void on_timer(void *arg)
{
    struct splice *splice = arg;
    uint64_t deadline_us = splice->heard_us + CV_SPLICE_SILENCE_S * UINT64_C(1000000);
    if (now_us(splice) < deadline_us)
        cv_timer_start_at(&splice->timer, deadline_us);
    else
        splice_end(splice, CV_E_TIMEOUT, "nothing came from either side");
}

static void want(const struct side *side)
{
    bool reads = !side->ended && cv_leftover_is_empty(&side->other->left);
    cv_conn_want(side->conn, reads, !cv_leftover_is_empty(&side->left));
}

// Passes the other side's end on when all that came before it has left. True: it was the last
// thing, and the splice is gone.
static bool settle(struct side *side)
{
    struct splice *splice = side->splice;
    if (side->other->ended && cv_leftover_is_empty(&side->left) && !side->shut) {
        cv_conn_shutdown(side->conn);
        side->shut = true;
    }
    if (side->shut && side->other->shut) {
        splice_end(splice, CV_E_CLOSED, cv_err_text(CV_E_CLOSED));
        return true;
    }
    want(side);
    want(side->other);
    return false;
}

static void on_bytes(void *arg, const uint8_t *data, size_t len)
{
    struct side *to = ((struct side *)arg)->other;
    struct cv_gather *gather = &to->conn->worker->gather;
    to->splice->heard_us = now_us(to->splice);
    CV_ASSERT(cv_leftover_is_empty(&to->left));
    cv_gather_clear(gather);
    cv_gather_borrow(gather, data, len);
    int sent = to->shut ? CV_E_CLOSED : cv_conn_write(to->conn, gather);
    if (sent == CV_E_AGAIN)
        sent = 0;
    int err = sent < 0 ? sent : cv_leftover_add(&to->left, gather, (size_t)sent);
    if (err != CV_OK)
        splice_end(to->splice, err, cv_err_text(err));
    else if (!cv_leftover_is_empty(&to->left))
        settle(to);
}

static void on_writable(void *arg)
{
    struct side *side = arg;
    struct cv_gather *gather = &side->conn->worker->gather;
    cv_leftover_gather(&side->left, gather);
    int sent = gather->bytes ? cv_conn_write(side->conn, gather) : 0;
    if (sent == CV_E_AGAIN)
        return;
    if (sent < 0) {
        splice_end(side->splice, sent, cv_err_text(sent));
        return;
    }
    side->splice->heard_us = now_us(side->splice);
    if (sent > 0)
        cv_leftover_sent(&side->left, (size_t)sent);
    settle(side);
}

static void on_ended(void *arg, int code)
{
    struct side *side = arg;
    side->ended = true;
    if (code == CV_E_CLOSED)
        settle(side->other);
    else
        splice_end(side->splice, code, cv_err_text(code));
}

static void on_stop(void *arg)
{
    splice_end(((struct side *)arg)->splice, CV_E_CLOSED, "the server stops");
}

static const struct cv_conn_user splice_user = {
    .bytes = on_bytes,
    .ended = on_ended,
    .writable = on_writable,
    .stop = on_stop,
};

static void take_side(struct splice *splice, int i, struct cv_conn *conn, struct cv_leftover *left)
{
    struct side *side = &splice->sides[i];
    side->splice = splice;
    side->other = &splice->sides[!i];
    side->conn = conn;
    side->left = *left;
    *left = (struct cv_leftover){0};
    cv_conn_hand_over(conn, &splice_user, side, NULL, 0);
}

void cv_splice(struct cv_conn *a, struct cv_leftover *to_a, struct cv_conn *b,
               struct cv_leftover *to_b)
{
    CV_ASSERT(a->worker == b->worker);
    struct splice *splice = cv_mem_zero(1, sizeof *splice);
    if (!splice) {
        cv_leftover_done(to_a);
        cv_leftover_done(to_b);
        cv_conn_free(a);
        cv_conn_free(b);
        return;
    }
    take_side(splice, 0, a, to_a);
    take_side(splice, 1, b, to_b);
    splice->heard_us = now_us(splice);
    cv_timer_init(&splice->timer, a->worker->loop, on_timer, splice);
    on_timer(splice);
    want(&splice->sides[0]);
    want(&splice->sides[1]);
}
