// Which part of the server answers an HTTP request: one table, asked from top to bottom.
#ifndef CV_SERVER_ROUTE_H
#define CV_SERVER_ROUTE_H

struct cv_http1_head;
struct cv_web;

// A request's head has come, and nothing else waits to be answered. Afterwards it has a responder,
// has been answered, or its connection has been released. `head` is lent until the answer is done.
// 0, or an error that ends the connection.
int cv_route(struct cv_web *web, const struct cv_http1_head *head);

#endif
