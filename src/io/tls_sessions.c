#include "io/tls_sessions.h"

#include "base/limits.h"
#include "base/mem.h"

#include <pthread.h>
#include <string.h>

struct kept {
    char *host;
    SSL_SESSION *session;
};

// The latest comes first.
struct sessions {
    pthread_mutex_t lock;
    struct kept kept[CV_LIMIT_TLS_SESSIONS];
    unsigned count;
};

static int sessions_index = -1; // of a context's data
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static void kept_free(struct kept *kept)
{
    cv_mem_free(kept->host);
    SSL_SESSION_free(kept->session);
}

static void on_context_freed(void *parent, void *data, CRYPTO_EX_DATA *all, int index, long number,
                             void *pointer)
{
    (void)parent, (void)all, (void)index, (void)number, (void)pointer;
    struct sessions *sessions = data;
    if (!sessions)
        return;
    for (unsigned i = 0; i < sessions->count; i++)
        kept_free(&sessions->kept[i]);
    pthread_mutex_destroy(&sessions->lock);
    cv_mem_free(sessions);
}

static void make_index(void)
{
    sessions_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_context_freed);
}

static struct sessions *sessions_of(SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), sessions_index);
}

// Whom the client asks for; NULL: an address, which is no name.
static const char *host_of(SSL *ssl)
{
    return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
}

// ---- under the lock -----------------------------------------------------------------------------

// Where it is; count when it is not there.
static unsigned find(const struct sessions *sessions, const char *host)
{
    unsigned i = 0;
    while (i < sessions->count && strcmp(sessions->kept[i].host, host) != 0)
        i++;
    return i;
}

static void drop(struct sessions *sessions, unsigned index)
{
    kept_free(&sessions->kept[index]);
    sessions->count--;
    memmove(&sessions->kept[index], &sessions->kept[index + 1],
            (sessions->count - index) * sizeof sessions->kept[0]);
}

static void put(struct sessions *sessions, struct kept kept)
{
    unsigned old = find(sessions, kept.host);
    if (old == sessions->count && old == CV_LIMIT_TLS_SESSIONS)
        old--;
    if (old < sessions->count)
        drop(sessions, old);
    memmove(&sessions->kept[1], &sessions->kept[0], sessions->count * sizeof kept);
    sessions->kept[0] = kept;
    sessions->count++;
}

// ---- by OpenSSL ---------------------------------------------------------------------------------

// A server has given a session, or a ticket for it. 1: the reference is ours now.
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct sessions *sessions = sessions_of(ssl);
    const char *host = host_of(ssl);
    char *copy = host ? cv_mem_text(host, strlen(host)) : NULL;
    if (!copy)
        return 0;
    pthread_mutex_lock(&sessions->lock);
    put(sessions, (struct kept){copy, session});
    pthread_mutex_unlock(&sessions->lock);
    return 1;
}

// ---- for others ---------------------------------------------------------------------------------

bool cv__tls_sessions_keep(SSL_CTX *context)
{
    pthread_once(&index_once, make_index);
    struct sessions *sessions = cv_mem_zero(1, sizeof *sessions);
    if (!sessions || pthread_mutex_init(&sessions->lock, NULL)) {
        cv_mem_free(sessions);
        return false;
    }
    if (sessions_index < 0 || !SSL_CTX_set_ex_data(context, sessions_index, sessions)) {
        on_context_freed(NULL, sessions, NULL, 0, 0, NULL);
        return false;
    }
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    return true;
}

void cv__tls_sessions_offer(SSL *ssl)
{
    struct sessions *sessions = sessions_of(ssl);
    const char *host = host_of(ssl);
    if (!host)
        return;
    pthread_mutex_lock(&sessions->lock);
    unsigned index = find(sessions, host);
    if (index < sessions->count && SSL_SESSION_is_resumable(sessions->kept[index].session))
        SSL_set_session(ssl, sessions->kept[index].session);
    pthread_mutex_unlock(&sessions->lock);
}

void cv__tls_sessions_forget(SSL *ssl)
{
    struct sessions *sessions = sessions_of(ssl);
    const char *host = host_of(ssl);
    if (!host)
        return;
    pthread_mutex_lock(&sessions->lock);
    unsigned index = find(sessions, host);
    if (index < sessions->count)
        drop(sessions, index);
    pthread_mutex_unlock(&sessions->lock);
}
