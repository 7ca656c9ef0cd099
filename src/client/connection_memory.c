// What a connection learns about the network, and what it remembers of it at its start.
#include "client/connection_state.h"

#include "client/memory.h"
#include "client/network.h"
#include "io/clock.h"

#include <stdio.h>
#include <string.h>

// What was learned is written again when it is older, so that it does not run out in use.
enum { REFRESH_S = 24 * 3600 };

enum { SERVER_BYTES = 2 * CV_LIMIT_HOST_BYTES + 32 };

// The same server through a proxy is another road.
static void name_server(const struct cv_connection *connection, char out[SERVER_BYTES])
{
    const struct cv_target *target = &connection->target;
    const struct cv_proxy *proxy = cv_proxies_first(&connection->proxies, target->security);
    if (proxy->host[0])
        snprintf(out, SERVER_BYTES, "%s:%u@%s:%u", target->host, target->port, proxy->host,
                 proxy->port);
    else
        snprintf(out, SERVER_BYTES, "%s:%u", target->host, target->port);
}

static uint64_t now_s(void)
{
    return cv_clock_wall_ms() / 1000;
}

static bool remembers(const struct cv_connection *connection)
{
    return connection->memory_path[0] && connection->config.via == CV_VIA_AUTO;
}

void cv__connection_recall(struct cv_connection *connection)
{
    char server[SERVER_BYTES];
    char network[CV_LIMIT_NETWORK_BYTES + 1];
    struct cv_memory_entry *known = &connection->known;
    *known = (struct cv_memory_entry){0};
    if (!remembers(connection))
        return;
    name_server(connection, server);
    cv_network_name(network);
    if (!cv_memory_find(connection->memory_path, network, server, now_s(), known))
        *known = (struct cv_memory_entry){0};
}

static void put(struct cv_connection *connection, const struct cv_memory_entry *entry)
{
    char server[SERVER_BYTES];
    char network[CV_LIMIT_NETWORK_BYTES + 1];
    name_server(connection, server);
    cv_network_name(network);
    // It is a hint: without it the next start is a little slower.
    cv_memory_put(connection->memory_path, network, server, entry, NULL);
}

void cv__connection_learn(struct cv_connection *connection, const struct cv_way_in_use *way)
{
    struct cv_attempt_stats stats = cv_attempt_stats(way->attempt);
    struct cv_memory_entry entry = {
        .way = way->way,
        .secure = way->secure,
        .raw = !stats.tunnel,
        .ipv4 = stats.peer.family == CV_ADDR_IPV4,
        .rtt_us = stats.rtt_us,
        .cut_ms = cv_watchdog_cut_ms(&connection->watchdog),
        .at_s = now_s(),
    };
    const struct cv_memory_entry *known = &connection->known;
    bool same = known->way == entry.way && known->secure == entry.secure &&
                known->raw == entry.raw && known->ipv4 == entry.ipv4 &&
                known->cut_ms == entry.cut_ms && entry.at_s - known->at_s < REFRESH_S;
    if (same)
        return;
    connection->known = entry; // behind a cut it is tried first, whether there is a file or not
    if (remembers(connection))
        put(connection, &entry);
}

void cv__connection_learn_failure(struct cv_connection *connection)
{
    struct cv_memory_entry entry = {.way = CV_WAY_NONE, .failures = 1, .at_s = now_s()};
    connection->known.at_s = 0; // the file says otherwise: what wins next is written
    if (remembers(connection))
        put(connection, &entry);
}
