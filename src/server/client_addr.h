// Who the client of a request is, when proxies stand before the server.
//
// A connection's peer is the socket's other end, or who a trusted proxy's PROXY header has named. A
// trusted peer may bring requests of many clients, and names them in X-Forwarded-For.
#ifndef CV_SERVER_CLIENT_ADDR_H
#define CV_SERVER_CLIENT_ADDR_H

#include "io/addr.h"

#include <stdbool.h>

struct cv_conn;
struct cv_http1_head;
struct cv_line;
struct cv_web;

// The address that counts for caps and logs: the connection's peer; or, if that is trusted, the one
// that it names, without a port (0).
struct cv_addr cv_client_addr(const struct cv_conn *conn, const struct cv_http1_head *head);
// After this request the connection is not HTTP any more and serves its client alone: it is counted
// there from now on, as its peer. False: that address has as many connections as it may.
bool cv_client_adopt(struct cv_conn *conn, const struct cv_http1_head *head);
// "1.2.3.4:80", or "1.2.3.4" when the port is not known, into `text` of CV_ADDR_TEXT_BYTES, which
// is returned.
char *cv_client_print(const struct cv_addr *addr, char *text);
// conn=, peer=: what a line about this request, whose answer is not done, starts with.
void cv_client_log_fields(const struct cv_web *web, struct cv_line *line);
// peer= alone.
void cv_client_log_field(const struct cv_addr *addr, struct cv_line *line);

#endif
