#include "server/policy.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/secret.h"
#include "io/openssl.h"
#include "io/tls_server.h"

#include <string.h>

struct cv_policy *cv_policy_new(struct cv_config *config, struct cv_keys *keys,
                                struct cv_tallies *tallies)
{
    struct cv_policy *policy = cv_mem_zero(1, sizeof *policy);
    if (!policy)
        return NULL;
    atomic_init(&policy->refs, 1);
    policy->config = cv_config_ref(config);
    policy->keys = cv_keys_ref(keys);
    policy->tallies = tallies;
    return policy;
}

void cv_policy_set_tls(struct cv_policy *policy, struct cv_tls_server *tls)
{
    CV_ASSERT(atomic_load_explicit(&policy->refs, memory_order_relaxed) == 1);
    cv_tls_server_unref(&policy->tls);
    policy->tls = tls ? cv_tls_server_ref(tls) : NULL;
}

struct cv_policy *cv_policy_ref(struct cv_policy *policy)
{
    atomic_fetch_add_explicit(&policy->refs, 1, memory_order_relaxed);
    return policy;
}

void cv_policy_unref(struct cv_policy **policy)
{
    struct cv_policy *gone = *policy;
    *policy = NULL;
    if (!gone || atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) > 1)
        return;
    cv_config_unref(&gone->config);
    cv_keys_unref(&gone->keys);
    cv_tls_server_unref(&gone->tls);
    cv_mem_free(gone);
}

// True when `name` is the beginning of the path in whole elements, and something follows.
static bool is_prefix(const char *name, size_t name_len, const struct cv_path *path)
{
    return path->len > name_len + 1 && memcmp(path->text, name, name_len) == 0 &&
           path->text[name_len] == '/';
}

const struct cv_config_app *cv_policy_route(const struct cv_policy *policy,
                                            const struct cv_path *path, struct cv_text *out_stream)
{
    const struct cv_config *config = policy->config;
    const struct cv_config_app *best = NULL;
    size_t best_len = 0;
    for (uint32_t i = 0; i < config->app_count; i++) {
        size_t len = strlen(config->apps[i].name);
        if (len > best_len && is_prefix(config->apps[i].name, len, path)) {
            best = &config->apps[i];
            best_len = len;
        }
    }
    if (best)
        *out_stream = (struct cv_text){path->text + best_len + 1, path->len - best_len - 1};
    return best;
}

const struct cv_config_app *cv_policy_route_file(const struct cv_policy *policy,
                                                 struct cv_text web_path, const char *suffix,
                                                 struct cv_path *out_path,
                                                 struct cv_text *out_stream)
{
    struct cv_text name = web_path;
    size_t suffix_len = strlen(suffix);
    if (name.len < suffix_len || !cv_text_is(cv_text_skip(name, name.len - suffix_len), suffix))
        return NULL;
    name.len -= suffix_len;
    if (cv_path_join(out_path, (struct cv_text){0}, name) != CV_OK)
        return NULL;
    return cv_policy_route(policy, out_path, out_stream);
}

int cv_policy_may_publish(const struct cv_policy *policy, const struct cv_config_app *app,
                          struct cv_text stream, const struct cv_query_places *query)
{
    enum cv_access access = cv_config_publish(policy->config, app);
    if (access == CV_ACCESS_OPEN)
        return CV_OK;
    if (access == CV_ACCESS_OFF)
        return CV_E_REFUSED;
    char key[CV_LIMIT_KEY_BYTES + 1];
    char name[CV_LIMIT_PATH_BYTES + 1];
    CV_ASSERT(stream.len < sizeof name);
    memcpy(name, stream.at, stream.len);
    name[stream.len] = '\0';
    int len = cv_query_find(query, "key", key, sizeof key);
    if (len <= 0)
        return CV_E_BAD_KEY;
    bool allowed = cv_keys_allow(policy->keys, app->name, name, key, (size_t)len);
    return allowed ? CV_OK : CV_E_BAD_KEY;
}

static int digest(const uint8_t *secret, const char *kind, const void *data, size_t len,
                  struct cv_identity *out)
{
    return cv_crypto_openssl.hmac_sha256(secret, CV_IDENTITY_KEY_BYTES, kind, 1, data, len,
                                         out->digest);
}

int cv_policy_identify(const struct cv_policy *policy, const struct cv_config_app *app,
                       const struct cv_query_places *query, const struct cv_addr *peer,
                       const uint8_t *secret, struct cv_identity *out)
{
    if (cv_config_publish(policy->config, app) == CV_ACCESS_OPEN)
        return digest(secret, "a", peer->ip, sizeof peer->ip, out);
    char key[CV_LIMIT_KEY_BYTES + 1];
    int len = cv_query_find(query, "key", key, sizeof key);
    if (len <= 0)
        return CV_E_BAD_KEY;
    int err = digest(secret, "k", key, (size_t)len, out);
    explicit_bzero(key, sizeof key);
    return err;
}

bool cv_identity_equal(const struct cv_identity *a, const struct cv_identity *b)
{
    return cv_ct_equal(a->digest, b->digest, sizeof a->digest);
}

int cv_policy_may_play(const struct cv_policy *policy, const struct cv_config_app *app)
{
    (void)policy;
    return app->play == CV_ACCESS_OPEN ? CV_OK : CV_E_REFUSED;
}

int cv_policy_enter_publisher(const struct cv_policy *policy, const struct cv_config_app *app,
                              bool replaces)
{
    struct cv_tally *tally = policy->tallies->app_streams;
    uint32_t max = replaces ? 0 : app->streams_max;
    bool entered = cv_tally_enter(tally, app->name, strlen(app->name), max);
    return entered ? CV_OK : CV_E_TOO_MANY;
}

void cv_policy_leave_publisher(const struct cv_policy *policy, const struct cv_config_app *app)
{
    cv_tally_leave(policy->tallies->app_streams, app->name, strlen(app->name));
}

int cv_policy_enter_viewer(const struct cv_policy *policy, const struct cv_config_app *app,
                           const struct cv_path *path)
{
    const struct cv_tallies *tallies = policy->tallies;
    size_t len = strlen(app->name);
    if (!cv_tally_enter(tallies->app_viewers, app->name, len, app->viewers_max))
        return CV_E_TOO_MANY;
    if (cv_tally_enter(tallies->stream_viewers, path->text, path->len, app->stream_viewers_max))
        return CV_OK;
    cv_tally_leave(tallies->app_viewers, app->name, len);
    return CV_E_TOO_MANY;
}

void cv_policy_leave_viewer(const struct cv_policy *policy, const struct cv_config_app *app,
                            const struct cv_path *path)
{
    cv_tally_leave(policy->tallies->app_viewers, app->name, strlen(app->name));
    cv_tally_leave(policy->tallies->stream_viewers, path->text, path->len);
}

struct cv_stream_settings cv_policy_stream_settings(const struct cv_config_app *app)
{
    return (struct cv_stream_settings){
        .log =
            {
                .bytes_max = app->log_bytes_max,
                .ms_max = app->log_s_max * 1000,
                .gop_ms_max = CV_LOG_GOP_MS_MAX,
                .gop_cache = app->gop_cache,
            },
        .grace_s = app->grace_s,
        .takeover = app->takeover,
    };
}
