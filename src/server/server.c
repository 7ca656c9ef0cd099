#include "server/server.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/openssl.h"
#include "io/send_ring.h"
#include "io/signals.h"
#include "io/socket.h"
#include "io/thread.h"
#include "io/tls.h"
#include "server/acme.h"
#include "server/cert_keeper.h"
#include "server/worker.h"

#include <string.h>

static const char place[] = "server";

struct server {
    const struct cv_server_options *options;
    struct cv_shared shared;
    struct cv_policy *policy; // in force
    struct cv_worker *workers[CV_LIMIT_THREADS];
    struct cv_loop *loop; // the main thread's
    struct cv_signals *signals;
    struct cv_cert_keeper keeper;
    struct cv_acme *acme;
    char tls_ports[CV_LIMIT_LISTEN * 6 + 1]; // where TLS is spoken: "80,443"
    unsigned stats_missing;                  // answers that have not come yet
    struct cv_worker_stats stats;
};

// ---- listening ------------------------------------------------------------------------------

// What a port takes, as far as there is TLS.
static const char *takes_text(const struct server *server, enum cv_listen_takes takes)
{
    bool has = cv_config_has_tls(server->options->config);
    if (!has || takes == CV_LISTEN_PLAIN)
        return "plain";
    return takes == CV_LISTEN_TLS ? "tls" : "plain,tls";
}

static void log_listen(const struct server *server, const struct cv_addr *addr,
                       enum cv_listen_takes takes)
{
    char text[CV_ADDR_TEXT_BYTES];
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_INFO, "server.listen");
    cv_line_text(&line, "address", cv_addr_print(addr, text));
    cv_line_text(&line, "takes", takes_text(server, takes));
    cv_line_end(&line);
}

// For the line that tells that all is ready.
static void note_tls_port(struct server *server, uint16_t port, enum cv_listen_takes takes)
{
    size_t len = strlen(server->tls_ports);
    if (takes == CV_LISTEN_PLAIN || !cv_config_has_tls(server->options->config))
        return;
    snprintf(server->tls_ports + len, sizeof server->tls_ports - len, "%s%u", len ? "," : "", port);
}

static int hand_out(struct server *server, const int *fds, enum cv_listen_takes takes)
{
    int err = CV_OK;
    for (unsigned i = 0; i < server->shared.workers; i++) {
        int fd = fds[i];
        if (err == CV_OK)
            err = cv_worker_listen(server->workers[i], fd, takes);
        if (err != CV_OK)
            cv_socket_close(&fd);
    }
    return err;
}

static int listen_on(struct server *server, const struct cv_addr *addr, enum cv_listen_takes takes,
                     struct cv_why *why)
{
    int fds[CV_LIMIT_THREADS];
    int err = cv_socket_listen(addr, fds, server->shared.workers, why);
    if (err != CV_OK)
        return err;
    err = hand_out(server, fds, takes);
    if (err != CV_OK)
        return cv_why_set(why, err, place, "no memory to listen");
    log_listen(server, addr, takes);
    note_tls_port(server, addr->port, takes);
    return CV_OK;
}

static int read_listen(const struct cv_listen *listen, struct cv_addr *out, struct cv_why *why)
{
    char text[CV_LISTEN_TEXT_BYTES];
    struct cv_listen plain = *listen;
    plain.takes = CV_LISTEN_ANY;
    cv_listen_text(&plain, text, sizeof text);
    return cv_addr_parse(text, 0, out, why);
}

// Ports for which others stand in, where they are refused.
static const struct {
    uint16_t port;
    uint16_t instead;
    const char *event;
} stand_ins[] = {
    {CV_PORT_HTTP, CV_PORT_HTTP_UNPRIVILEGED, "server.port_80"},
    {CV_PORT_HTTPS, CV_PORT_HTTPS_UNPRIVILEGED, "server.port_443"},
};

// A port that nobody asked for by name is not worth failing for while another one works.
static int listen_default(struct server *server, struct cv_addr addr, unsigned *opened)
{
    struct cv_why why = {0};
    int err = listen_on(server, &addr, CV_LISTEN_ANY, &why);
    for (size_t i = 0; i < sizeof stand_ins / sizeof stand_ins[0] && err != CV_OK; i++) {
        if (addr.port != stand_ins[i].port)
            continue;
        cv_log_text(CV_LOG_WARN, stand_ins[i].event, "why", why.text);
        addr.port = stand_ins[i].instead;
        why = (struct cv_why){0};
        err = listen_on(server, &addr, CV_LISTEN_ANY, &why);
    }
    if (err != CV_OK)
        cv_log_text(CV_LOG_WARN, "server.no_listen", "why", why.text);
    *opened += err == CV_OK;
    return err;
}

static int open_listeners(struct server *server, struct cv_why *why)
{
    const struct cv_config *config = server->options->config;
    unsigned opened = 0;
    for (uint32_t i = 0; i < config->listen_count; i++) {
        struct cv_addr addr;
        int err = read_listen(&config->listen[i], &addr, why);
        if (err == CV_OK && config->listen_default) {
            listen_default(server, addr, &opened);
            continue;
        }
        if (err == CV_OK)
            err = listen_on(server, &addr, config->listen[i].takes, why);
        if (err != CV_OK)
            return CV_E_UNREACHABLE;
        opened++;
    }
    if (opened)
        return CV_OK;
    return cv_why_set(why, CV_E_UNREACHABLE, place,
                      "no port could be opened; choose one with --listen PORT");
}

// ---- what the main thread tells the workers --------------------------------------------------

// How many of them it reached.
static unsigned send_all(struct server *server, const struct cv_note *note)
{
    unsigned reached = 0;
    for (unsigned i = 0; i < server->shared.workers; i++) {
        struct cv_note *copy = cv_worker_note_new(note);
        if (copy && copy->policy)
            cv_policy_ref(copy->policy);
        if (copy && cv_post_send(server->shared.post, server->shared.workers, i, &copy->mail) == 0)
            reached++;
        else if (copy)
            cv_note_free(copy);
    }
    return reached;
}

static void log_stats(const struct server *server)
{
    const struct cv_worker_stats *stats = &server->stats;
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_INFO, "server.stats");
    cv_line_uint(&line, "connections", stats->connections);
    cv_line_uint(&line, "accepted", stats->accepted);
    cv_line_uint(&line, "refused", stats->refused);
    cv_line_uint(&line, "publishers", stats->publishers);
    cv_line_uint(&line, "viewers", stats->viewers);
    cv_line_uint(&line, "messages_in", stats->messages_in);
    cv_line_uint(&line, "messages_out", stats->messages_out);
    cv_line_uint(&line, "bytes_in", stats->bytes_in);
    cv_line_uint(&line, "bytes_out", stats->bytes_out);
    cv_line_uint(&line, "writes", stats->writes);
    cv_line_uint(&line, "io_uring", stats->batched);
    cv_line_uint(&line, "flushes", stats->flushes);
    cv_line_uint(&line, "jumps", stats->jumps);
    cv_line_uint(&line, "skipped", stats->skipped);
    cv_line_uint(&line, "lost", stats->lost);
    cv_line_uint(&line, "tls", stats->secured);
    cv_line_uint(&line, "tls_resumed", stats->resumed);
    cv_line_uint(&line, "tls_kernel", stats->kernel_tls);
    cv_line_uint(&line, "tls_failed", stats->tls_failed);
    cv_line_uint(&line, "allocs", stats->allocs);
    cv_line_uint(&line, "rss_bytes", cv_process_rss_bytes());
    cv_line_uint(&line, "cpu_us", cv_process_cpu_us());
    cv_line_end(&line);
}

// The counters are all uint64_t, so that sums need no list of names.
static void add_stats(struct cv_worker_stats *sum, const struct cv_worker_stats *part)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)part;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static void on_stats_answer(struct cv_mail *mail, void *receiver)
{
    struct server *server = receiver;
    struct cv_note *note = (struct cv_note *)mail;
    add_stats(&server->stats, &note->stats);
    cv_note_free(note);
    if (--server->stats_missing == 0)
        log_stats(server);
}

static void ask_stats(struct server *server)
{
    struct cv_note note = {.kind = CV_NOTE_STATS, .answer = on_stats_answer};
    if (server->stats_missing > 0)
        return; // the last question is still being answered
    server->stats = (struct cv_worker_stats){0};
    server->stats_missing = send_all(server, &note);
    if (server->stats_missing < server->shared.workers)
        cv_log_event(CV_LOG_ERROR, "server.stats_failed");
}

// ---- reload ---------------------------------------------------------------------------------

// With the certificates of the configuration: the last thing that can fail, for then the keeper has
// others.
static int make_policy(struct server *server, struct cv_config *config, struct cv_keys *keys,
                       struct cv_policy **out, struct cv_why *why)
{
    struct cv_policy *policy = cv_policy_new(config, keys, &server->shared.tallies);
    if (!policy)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory");
    int err = cv_cert_keeper_load(&server->keeper, config, why);
    if (err != CV_OK) {
        cv_policy_unref(&policy);
        return err;
    }
    cv_policy_set_tls(policy, cv_cert_keeper_server(&server->keeper));
    *out = policy;
    return CV_OK;
}

static struct cv_policy *load_policy(struct server *server, struct cv_config_why *why)
{
    const struct cv_server_options *options = server->options;
    struct cv_config *config = NULL;
    struct cv_keys *keys = NULL;
    struct cv_policy *policy = NULL;
    struct cv_why other = {0};
    if (cv_config_load(options->config_path, options->override, &config, why) != CV_OK)
        return NULL;
    int err = cv_keys_load(options->store, &keys, &other);
    if (err == CV_OK)
        err = make_policy(server, config, keys, &policy, &other);
    if (err != CV_OK)
        memcpy(why->text, other.text, sizeof other.text);
    cv_config_unref(&config);
    cv_keys_unref(&keys);
    return policy;
}

// Takes over the reference: from now on it holds, for connections that come.
static void put_in_force(struct server *server, struct cv_policy *policy)
{
    cv_policy_unref(&server->policy);
    server->policy = policy;
    struct cv_note note = {.kind = CV_NOTE_POLICY, .policy = policy};
    if (send_all(server, &note) == server->shared.workers)
        cv_log_event(CV_LOG_INFO, "server.reload");
    else
        cv_log_event(CV_LOG_ERROR, "server.reload_incomplete");
}

// What is new holds for connections that come from now on; sessions that are there go on. Ports and
// threads stay as they are. A configuration with a mistake changes nothing.
static void reload(struct server *server)
{
    struct cv_config_why why = {0};
    struct cv_policy *policy = load_policy(server, &why);
    if (!policy) {
        struct cv_line line;
        cv_line_begin(&line, CV_LOG_ERROR, "server.reload_failed");
        cv_line_text(&line, "why", why.text);
        cv_line_text(&line, "in_use", "the configuration and the certificates from before");
        cv_line_end(&line);
        return;
    }
    cv_log_set_level(policy->config->log_level);
    put_in_force(server, policy);
    cv_acme_set(server->acme, policy->config);
}

// Renewed certificates, with everything else as it was.
static void on_renewed(void *arg, struct cv_tls_server *tls)
{
    struct server *server = arg;
    const struct cv_policy *old = server->policy;
    struct cv_policy *policy = cv_policy_new(old->config, old->keys, &server->shared.tallies);
    if (!policy) {
        cv_log_event(CV_LOG_ERROR, "server.reload_incomplete");
        return;
    }
    cv_policy_set_tls(policy, tls);
    put_in_force(server, policy);
}

// An authority has given us a certificate: it need not wait until the keeper looks.
static void on_obtained(void *arg)
{
    struct server *server = arg;
    cv_cert_keeper_look(&server->keeper);
}

// ---- running --------------------------------------------------------------------------------

static void on_signal(void *arg, enum cv_signal signal)
{
    struct server *server = arg;
    struct cv_note stop = {.kind = CV_NOTE_STOP};
    switch (signal) {
    case CV_SIGNAL_STOP:
        cv_log_event(CV_LOG_INFO, "server.stop");
        if (send_all(server, &stop) == server->shared.workers)
            cv_loop_stop(server->loop);
        else
            cv_log_event(CV_LOG_ERROR, "server.stop_failed");
        return;
    case CV_SIGNAL_RELOAD:
        reload(server);
        return;
    case CV_SIGNAL_USER:
        ask_stats(server);
        return;
    }
    CV_UNREACHABLE();
}

static int make_tallies(struct cv_tallies *tallies, struct cv_why *why)
{
    struct cv_tally **all[] = {&tallies->addresses, &tallies->app_streams, &tallies->app_viewers,
                               &tallies->stream_viewers};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        uint64_t seed;
        if (cv_crypto_openssl.random(&seed, sizeof seed) != CV_OK)
            return cv_why_set(why, CV_E_SYSTEM, place, "no random numbers");
        *all[i] = cv_tally_new(seed);
        if (!*all[i])
            return cv_why_set(why, CV_E_NOMEM, place, "no memory");
    }
    return CV_OK;
}

static int make_secrets(struct cv_shared *shared, struct cv_why *why)
{
    struct cv_rtmpt_secret *tunnel = &shared->tunnel_secret;
    tunnel->crypto = &cv_crypto_openssl;
    if (cv_crypto_openssl.random(tunnel->key, sizeof tunnel->key) == CV_OK &&
        cv_crypto_openssl.random(shared->identity_secret, sizeof shared->identity_secret) == CV_OK)
        return CV_OK;
    return cv_why_set(why, CV_E_SYSTEM, place, "no random numbers");
}

static void free_tallies(struct cv_tallies *tallies)
{
    cv_tally_free(tallies->addresses);
    cv_tally_free(tallies->app_streams);
    cv_tally_free(tallies->app_viewers);
    cv_tally_free(tallies->stream_viewers);
}

static int make_main(struct server *server, struct cv_why *why)
{
    struct cv_shared *shared = &server->shared;
    uint32_t threads = server->options->config->threads;
    shared->workers = threads ? threads : cv_cpu_count();
    if (shared->workers > CV_LIMIT_THREADS)
        shared->workers = CV_LIMIT_THREADS;
    atomic_init(&shared->connections, 0);
    int err = make_tallies(&shared->tallies, why);
    if (err == CV_OK)
        err = make_secrets(shared, why);
    if (err != CV_OK)
        return err;
    shared->post = cv_post_new(shared->workers + 1);
    server->loop = cv_loop_new();
    if (!shared->post || !server->loop)
        return cv_why_set(why, CV_E_NOMEM, place, "no memory or descriptors to start");
    cv_post_attach(shared->post, shared->workers, server->loop, server);
    cv_cert_keeper_init(&server->keeper, server->loop, on_renewed, server);
    err = make_policy(server, server->options->config, server->options->keys, &server->policy, why);
    if (err != CV_OK)
        return err;
    server->signals = cv_signals_new(server->loop, on_signal, server);
    return server->signals ? CV_OK : cv_why_set(why, CV_E_NOMEM, place, "no memory to start");
}

static int make_acme(struct server *server, struct cv_why *why)
{
    char folder[CV_LIMIT_FOLDER_BYTES + 1];
    char *challenges = server->shared.challenge_folder;
    int err = cv_state_file(server->options->config->state_dir, "acme", folder, sizeof folder, why);
    if (err == CV_OK)
        err = cv_acme_new(&server->acme, server->loop, folder, on_obtained, server, why);
    if (err == CV_OK)
        snprintf(challenges, CV_LIMIT_FOLDER_BYTES + 1, "%s", cv_acme_challenges(server->acme));
    return err;
}

static int make_workers(struct server *server, struct cv_why *why)
{
    for (unsigned i = 0; i < server->shared.workers; i++) {
        server->workers[i] = cv_worker_new(&server->shared, i, server->policy);
        if (!server->workers[i])
            return cv_why_set(why, CV_E_NOMEM, place, "no memory or descriptors for a thread");
    }
    return CV_OK;
}

static int start_threads(struct server *server, struct cv_why *why)
{
    for (unsigned i = 0; i < server->shared.workers; i++) {
        struct cv_worker *worker = server->workers[i];
        int err = cv_thread_start(&worker->thread, "worker", cv_worker_run, worker);
        if (err != CV_OK)
            return cv_why_set(why, err, place, "could not start a thread");
    }
    return CV_OK;
}

static void join_threads(struct server *server)
{
    for (unsigned i = 0; i < server->shared.workers; i++)
        cv_thread_join(&server->workers[i]->thread);
}

// "yes", "off", or why the machine has none for us.
static void add_io_uring(const struct server *server, struct cv_line *line)
{
    struct cv_why why = {0};
    if (server->policy->config->io_uring == CV_USE_OFF)
        cv_line_text(line, "io_uring", "off");
    else if (cv_send_ring_probe(&why) != CV_OK)
        cv_line_text(line, "io_uring", why.text);
    else
        cv_line_text(line, "io_uring", "yes");
}

static void log_ready(const struct server *server)
{
    struct cv_line line;
    cv_line_begin(&line, CV_LOG_INFO, "server.ready");
    cv_line_text(&line, "version", CULVERT_VERSION);
    cv_line_uint(&line, "threads", server->shared.workers);
    cv_line_text(&line, "tls", server->tls_ports[0] ? server->tls_ports : "off");
    if (server->tls_ports[0])
        cv_line_text(&line, "kernel", cv_tls_kernel_offers() ? "yes" : "no");
    add_io_uring(server, &line);
    cv_line_end(&line);
}

static int run(struct server *server, struct cv_why *why)
{
    int err = start_threads(server, why);
    if (err == CV_OK) {
        log_ready(server);
        cv_acme_set(server->acme, server->policy->config);
        cv_loop_run(server->loop);
    } else {
        struct cv_note stop = {.kind = CV_NOTE_STOP};
        send_all(server, &stop);
    }
    join_threads(server);
    return err;
}

static void server_done(struct server *server)
{
    for (unsigned i = 0; i < server->shared.workers; i++)
        cv_worker_free(server->workers[i]);
    cv_acme_free(&server->acme);
    cv_signals_free(server->signals);
    cv_cert_keeper_done(&server->keeper);
    if (server->shared.post && server->loop)
        cv_post_detach(server->shared.post, server->shared.workers);
    cv_post_free(server->shared.post, cv_worker_drop_mail, NULL);
    cv_loop_free(server->loop);
    cv_policy_unref(&server->policy);
    free_tallies(&server->shared.tallies);
}

int cv_server_run(const struct cv_server_options *options, struct cv_why *why)
{
    struct server server = {.options = options};
    cv_signals_ignore_pipe();
    cv_process_raise_descriptors();
    int err = make_main(&server, why);
    if (err == CV_OK)
        err = make_acme(&server, why);
    if (err == CV_OK)
        err = make_workers(&server, why);
    if (err == CV_OK)
        err = open_listeners(&server, why);
    if (err == CV_OK)
        err = run(&server, why);
    server_done(&server);
    cv_log_event(CV_LOG_INFO, "server.end");
    return err;
}
