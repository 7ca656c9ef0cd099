#include "server/client_addr.h"

#include "proto/forwarded.h"
#include "proto/http1.h"
#include "server/conn.h"
#include "server/web.h"
#include "server/worker.h"

static bool is_trusted(void *config, const struct cv_ip *ip)
{
    return cv_config_trusts(config, ip);
}

struct cv_addr cv_client_addr(const struct cv_conn *conn, const struct cv_http1_head *head)
{
    struct cv_ip peer = cv_addr_ip(&conn->peer);
    struct cv_ip client =
        cv_forwarded_client_of(head->fields, &peer, is_trusted, conn->worker->policy->config);
    return cv_ip_equal(&client, &peer) ? conn->peer : cv_addr_of_ip(&client, 0);
}

bool cv_client_adopt(struct cv_conn *conn, const struct cv_http1_head *head)
{
    struct cv_addr client = cv_client_addr(conn, head);
    return cv_addr_equal(&client, &conn->peer) || cv_conn_set_peer(conn, &client);
}

char *cv_client_print(const struct cv_addr *addr, char *text)
{
    return addr->port ? cv_addr_print(addr, text) : cv_addr_print_ip(addr, text);
}

void cv_client_log_field(const struct cv_addr *addr, struct cv_line *line)
{
    char text[CV_ADDR_TEXT_BYTES];
    cv_line_text(line, "peer", cv_client_print(addr, text));
}

void cv_client_log_fields(const struct cv_web *web, struct cv_line *line)
{
    const struct cv_conn *conn = cv_web_conn(web);
    struct cv_addr client = cv_client_addr(conn, cv_web_head(web));
    cv_line_uint(line, "conn", conn->id);
    cv_client_log_field(&client, line);
    cv_conn_log_tls(conn, line);
}
