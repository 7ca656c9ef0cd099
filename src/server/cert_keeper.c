#include "server/cert_keeper.h"

#include "base/check.h"
#include "io/clock.h"
#include "server/log.h"

static const uint64_t second_us = 1000000;
static const uint64_t day_us = UINT64_C(86400) * 1000000;

// A certificate and its key are two files, so one may be new and the other not yet.
enum { LOOKS_BEFORE_COMPLAINT = 2 };

static void on_look(void *arg);
static void on_day(void *arg);

static int64_t now_s(void)
{
    return (int64_t)(cv_clock_wall_ms() / 1000);
}

void cv_cert_keeper_init(struct cv_cert_keeper *keeper, struct cv_loop *loop,
                         void (*renewed)(void *arg, struct cv_tls_server *server), void *arg)
{
    *keeper = (struct cv_cert_keeper){.loop = loop, .renewed = renewed, .arg = arg};
    cv_timer_init(&keeper->look, loop, on_look, keeper);
    cv_timer_init(&keeper->day, loop, on_day, keeper);
}

void cv_cert_keeper_done(struct cv_cert_keeper *keeper)
{
    cv_timer_stop(&keeper->look);
    cv_timer_stop(&keeper->day);
    cv_certs_free(&keeper->certs);
    cv_config_unref(&keeper->config);
}

struct cv_tls_server *cv_cert_keeper_server(const struct cv_cert_keeper *keeper)
{
    return cv_certs_server(keeper->certs);
}

// ---- loading -----------------------------------------------------------------------------------

static void set_timers(struct cv_cert_keeper *keeper)
{
    uint32_t watch_s = keeper->config->tls.watch_s;
    cv_timer_stop(&keeper->look);
    cv_timer_stop(&keeper->day);
    if (!cv_config_has_tls(keeper->config))
        return;
    if (watch_s > 0)
        cv_timer_start(&keeper->look, watch_s * second_us);
    cv_timer_start(&keeper->day, day_us);
}

static int load(struct cv_cert_keeper *keeper, struct cv_config *config, struct cv_why *why)
{
    struct cv_certs *certs;
    // What changes while the files are read is seen at the next look.
    uint64_t stamp = cv_certs_stamp(config);
    int err = cv_certs_load(&certs, config, keeper->certs, now_s(), why);
    if (err != CV_OK) {
        keeper->failed_stamp = stamp;
        return err;
    }
    cv_certs_log(certs, keeper->certs);
    cv_certs_free(&keeper->certs);
    keeper->certs = certs;
    keeper->stamp = stamp;
    keeper->failed_looks = 0;
    cv_certs_warn(certs, now_s());
    return CV_OK;
}

int cv_cert_keeper_load(struct cv_cert_keeper *keeper, struct cv_config *config, struct cv_why *why)
{
    int err = load(keeper, config, why);
    if (err != CV_OK) {
        keeper->failed_looks = LOOKS_BEFORE_COMPLAINT; // the caller complains
        return err;
    }
    struct cv_config *before = keeper->config;
    keeper->config = cv_config_ref(config);
    cv_config_unref(&before);
    set_timers(keeper);
    return CV_OK;
}

// ---- watching ----------------------------------------------------------------------------------

static void complain(const struct cv_why *why)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_ERROR, "tls.renewal_failed");
    cv_line_text(&line, "why", why->text);
    cv_line_text(&line, "in_use", "the certificates from before");
    cv_line_end(&line);
}

static void try_load(struct cv_cert_keeper *keeper)
{
    struct cv_why why = {0};
    if (load(keeper, keeper->config, &why) == CV_OK)
        keeper->renewed(keeper->arg, cv_cert_keeper_server(keeper));
    else if (++keeper->failed_looks == LOOKS_BEFORE_COMPLAINT)
        complain(&why);
}

void cv_cert_keeper_look(struct cv_cert_keeper *keeper)
{
    CV_ASSERT(keeper->config && keeper->certs);
    uint64_t stamp = cv_certs_stamp(keeper->config);
    bool lacking = cv_certs_lack(keeper->certs, keeper->config, now_s());
    if (stamp == keeper->stamp && !lacking) {
        keeper->failed_looks = 0;
        return;
    }
    if (stamp != keeper->failed_stamp)
        keeper->failed_looks = 0;
    try_load(keeper);
}

static void on_look(void *arg)
{
    struct cv_cert_keeper *keeper = arg;
    cv_cert_keeper_look(keeper);
    cv_timer_start(&keeper->look, keeper->config->tls.watch_s * second_us);
}

static void on_day(void *arg)
{
    struct cv_cert_keeper *keeper = arg;
    if (cv_certs_due(keeper->certs, now_s()))
        try_load(keeper);
    else
        cv_certs_warn(keeper->certs, now_s());
    cv_timer_start(&keeper->day, day_us);
}
