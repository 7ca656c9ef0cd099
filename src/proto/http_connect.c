#include "proto/http_connect.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/basic_auth.h"
#include "proto/http1_write.h"

#include <stdio.h>

// ---- the request ----------------------------------------------------------------------------

// RFC 9112, section 3.2.3: host and port, the port always.
static void put_target(struct cv_wr *wr, struct cv_text host, uint16_t port)
{
    char number[8];
    bool ipv6 = cv_text_find(host, ':') < host.len;
    if (ipv6)
        host.len = cv_text_find(host, '%');
    int len = snprintf(number, sizeof number, ":%u", port);
    cv_wr_bytes(wr, "[", ipv6);
    cv_wr_bytes(wr, host.at, host.len);
    cv_wr_bytes(wr, "]", ipv6);
    cv_wr_bytes(wr, number, (size_t)len);
}

void cv_http_connect_write(struct cv_wr *wr, const struct cv_http_connect_config *config)
{
    char text[CV_LIMIT_HOST_BYTES + sizeof "[]:65535"];
    struct cv_wr target = cv_wr_fixed(text, sizeof text);
    put_target(&target, config->host, config->port);
    struct cv_text authority = {text, target.len};
    if (target.err != CV_OK || config->host.len == 0 || !cv_http1_is_authority(authority)) {
        wr->err = CV_E_USAGE;
        return;
    }
    cv_http1_write_request(wr, cv_text_of("CONNECT"), authority);
    cv_http1_write_field(wr, cv_text_of("Host"), authority);
    if (config->user_agent.len)
        cv_http1_write_field(wr, cv_text_of("User-Agent"), config->user_agent);
    if (config->user.len)
        cv_basic_auth_write(wr, "Proxy-Authorization", config->user, config->password);
    cv_http1_write_head_end(wr);
}

// ---- the answer -----------------------------------------------------------------------------

struct cv_http_connect {
    struct cv_http1 *http;
    bool answered;
};

struct cv_http_connect *cv_http_connect_new(void)
{
    struct cv_http_connect *connect = cv_mem_zero(1, sizeof *connect);
    if (!connect)
        return NULL;
    connect->http = cv_http1_new(CV_HTTP1_RESPONSES);
    if (!connect->http) {
        cv_mem_free(connect);
        return NULL;
    }
    cv_http1_expect(connect->http, CV_METHOD_CONNECT, false);
    return connect;
}

void cv_http_connect_free(struct cv_http_connect *connect)
{
    if (!connect)
        return;
    cv_http1_free(connect->http);
    cv_mem_free(connect);
}

const struct cv_why *cv_http_connect_why(const struct cv_http_connect *connect)
{
    return cv_http1_why(connect->http);
}

// Behind the head of a 2xx: the engine knows that there is no body, whatever the head announces.
static struct cv_text take_rest(struct cv_http1 *http)
{
    struct cv_http1_event event;
    int more = cv_http1_next(http, &event);
    CV_ASSERT(more == 1 && event.type == CV_HTTP1_END);
    struct cv_rd rest = cv_http1_unread(http);
    return (struct cv_text){(const char *)rest.at, cv_rd_left(&rest)};
}

int cv_http_connect_feed(struct cv_http_connect *connect, const void *data, size_t len,
                         struct cv_http_connect_answer *out)
{
    struct cv_http1_event event;
    int more;
    CV_ASSERT(!connect->answered);
    cv_http1_feed(connect->http, data, len);
    do
        more = cv_http1_next(connect->http, &event);
    while (more > 0 && event.type == CV_HTTP1_INTERIM);
    if (more <= 0)
        return more;
    connect->answered = true;
    *out = (struct cv_http_connect_answer){.head = event.head};
    if (event.head->status / 100 == 2)
        out->rest = take_rest(connect->http);
    return 1;
}
