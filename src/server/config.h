// The configuration: what an administrator may set, checked, with every default filled in.
//
// Loaded whole, then immutable and shared by all threads through references (the count is atomic).
// A reload makes a new one and swaps it. Fields, ranges, defaults and their descriptions are in
// config_table.h, from which the YAML schema, the checks and the printed form are made.
#ifndef CV_SERVER_CONFIG_H
#define CV_SERVER_CONFIG_H

#include "base/err.h"
#include "base/ip_range.h"
#include "base/limits.h"
#include "server/log.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// Whether something that the machine may offer is used.
enum cv_use {
    CV_USE_AUTO, // where it is there, and saves something
    CV_USE_OFF,
    CV_USE_ON, // where it is there
};

enum cv_access {
    CV_ACCESS_KEY,  // with a key of the store (publish only)
    CV_ACCESS_OPEN, // anybody
    CV_ACCESS_OFF,  // nobody
};

// What a listening address takes.
enum cv_listen_takes {
    CV_LISTEN_ANY,   // plain text, and TLS where there is a certificate
    CV_LISTEN_TLS,   // nothing but TLS: "443/tls"
    CV_LISTEN_PLAIN, // no TLS: "80/plain"
};

// One listening address.
struct cv_listen {
    char address[48]; // numeric IPv4 or IPv6 without brackets; "" is every address of both
    uint16_t port;    // 1 to 65535
    enum cv_listen_takes takes;
};

// A certificate with its chain, and its key, in files.
struct cv_config_certificate {
    char cert_file[CV_LIMIT_FOLDER_BYTES + 1]; // PEM
    char key_file[CV_LIMIT_FOLDER_BYTES + 1];  // PEM; the same file is allowed
};

// Certificates asked for and renewed by ourselves (RFC 8555, HTTP-01; server/acme.h).
struct cv_config_acme {
    char directory[CV_LIMIT_URL_BYTES + 1]; // https://...; empty: no ACME
    char email[256];                        // where the authority writes to
    char domains[CV_LIMIT_ACME_DOMAINS][CV_LIMIT_HOST_BYTES + 1];
    uint32_t domain_count;
    char ca_file[CV_LIMIT_FOLDER_BYTES + 1]; // whom to trust about the directory; empty: the system
};

// TLS is on when there is a certificate, self_signed, or an ACME directory.
struct cv_config_tls {
    struct cv_config_certificate *certificates; // owned; the first one is for unknown names
    uint32_t certificate_count;
    bool self_signed; // one of our own making, kept in the state folder; for trials
    struct cv_config_acme acme;
    // Answers to /.well-known/acme-challenge/ come from here, for certbot and the like; empty: no
    char challenge_folder[CV_LIMIT_FOLDER_BYTES + 1];
    uint32_t watch_s; // renewed files are looked for so often; 0: at a reload only
};

// Who answers requests that are not for a stream.
enum cv_site_kind {
    CV_SITE_NONE,     // the built-in page
    CV_SITE_UPSTREAM, // the site's own web server: host and port
    CV_SITE_FOLDER,   // files: folder
};

struct cv_config_site {
    enum cv_site_kind kind;
    bool ipv6;                              // host is the inside of a [literal]
    char host[CV_LIMIT_HOST_BYTES + 1];     // a name or a numeric address, without brackets
    uint16_t port;                          // 1 to 65535
    char folder[CV_LIMIT_FOLDER_BYTES + 1]; // absolute; no slash at its end, unless it is "/"
};

struct cv_config_limits {
    uint32_t connections_max;
    uint32_t connections_per_address_max;
    uint32_t media_message_bytes_max;
    uint32_t chunk_bytes_out;
    uint32_t handshake_s;
    uint32_t idle_s;
    uint32_t write_stall_s;
    uint32_t tunnel_window_ms; // 0 = a tunnel's replies are never chunked
    uint32_t site_answer_s;
    uint32_t site_connections_max;
};

struct cv_config_app {
    char name[CV_LIMIT_APP_NAME_BYTES + 1];
    enum cv_access publish;
    enum cv_access play;
    uint32_t grace_s;
    uint32_t play_wait_s;
    bool takeover; // a second publisher of a name replaces the first
    bool gop_cache;
    uint32_t streams_max;
    uint32_t viewers_max;        // 0 = no limit
    uint32_t stream_viewers_max; // 0 = no limit
    uint32_t log_bytes_max;
    uint32_t log_s_max;
};

struct cv_config {
    atomic_uint refs;
    struct cv_listen listen[CV_LIMIT_LISTEN];
    uint32_t listen_count;
    bool listen_default; // nobody named a port: others may stand in for those that are refused
    uint32_t threads;    // 0 = auto, one per core
    enum cv_log_level log_level;
    char *state_dir; // owned; NULL = the default of cv_state_dir
    struct cv_ip_range trusted_proxies[CV_LIMIT_TRUSTED_PROXIES]; // believed about their clients
    uint32_t trusted_proxy_count;
    uint32_t latency_ms;
    enum cv_use io_uring; // one call of the kernel's for the viewers of a stream
    bool open_publish;    // publish needs no key anywhere, for trials
    struct cv_config_site site;
    struct cv_config_tls tls;
    struct cv_config_limits limits;
    struct cv_config_app *apps; // owned, app_count of them, at least one
    uint32_t app_count;
};

// What the command line said; it stands over the file, also after a reload. Borrows its pointers.
struct cv_config_override {
    struct cv_listen listen[CV_LIMIT_LISTEN];
    uint32_t listen_count; // 0 = as in the file
    bool has_threads;
    uint32_t threads;
    bool has_log_level;
    enum cv_log_level log_level;
    const char *state_dir;      // NULL = as in the file
    bool open_publish;          // true = yes, false = as in the file
    struct cv_config_site site; // kind CV_SITE_NONE = as in the file
    const char *tls_cert;       // both or none; NULL = as in the file
    const char *tls_key;        //
    bool self_signed;           // true = yes, false = as in the file
};

// The first thing that is wrong: "culvert.yaml:12: unknown key ...", ready to print.
struct cv_config_why {
    int line; // in the file, from 1; 0 when it is about no line
    char text[512];
};

// Reads the file (NULL: none, all defaults), checks it, and lays `over` (may be NULL) on top.
// 0 and one reference in *out, which the caller owns; or CV_E_CONFIG, CV_E_SYSTEM (cannot read the
// file), CV_E_NOMEM with *why filled and *out untouched.
int cv_config_load(const char *path, const struct cv_config_override *over, struct cv_config **out,
                   struct cv_config_why *why);
// The same from text in memory, without a look at the folders that it names; `name` stands for the
// file name in messages.
int cv_config_parse(const char *name, const char *text, size_t len,
                    const struct cv_config_override *over, struct cv_config **out,
                    struct cv_config_why *why);
// One more reference, which is returned. Any thread.
struct cv_config *cv_config_ref(struct cv_config *config);
// Gives up a reference and clears the pointer; the last one frees. *config may be NULL.
void cv_config_unref(struct cv_config **config);

// The app of this name, or NULL. Borrowed from the configuration.
const struct cv_config_app *cv_config_app(const struct cv_config *config, const char *name,
                                          size_t len);
// Who may publish to the app, with open_publish taken into account (it opens, but not what is off).
enum cv_access cv_config_publish(const struct cv_config *config, const struct cv_config_app *app);

// True when it speaks TLS: a certificate, self_signed, or ACME.
bool cv_config_has_tls(const struct cv_config *config);

// True when what this address says about its clients' addresses is believed (trusted_proxies).
bool cv_config_trusts(const struct cv_config *config, const struct cv_ip *ip);

// Writes the whole configuration as commented YAML that loads again to the same. 0 or CV_E_SYSTEM.
int cv_config_print(const struct cv_config *config, FILE *file);

// "80", "127.0.0.1:80", "[::1]:80" or "*:80", "/tls" or "/plain" perhaps behind it. 0, or
// CV_E_CONFIG with *out untouched.
int cv_listen_parse(const char *text, struct cv_listen *out);
// The address as cv_listen_parse takes it: "80", "127.0.0.1:80", "[::1]:443/tls". `size`:
// CV_LISTEN_TEXT_BYTES is enough.
enum { CV_LISTEN_TEXT_BYTES = 64 };
void cv_listen_text(const struct cv_listen *listen, char *out, size_t size);
// "http://HOST[:PORT]" or "/FOLDER". 0, or CV_E_CONFIG with *why, which says what to do, and *out
// untouched. Does not look whether there is such a host or folder.
int cv_site_parse(const char *text, struct cv_config_site *out, struct cv_why *why);
// Whether a folder is there and can be entered now. 0, or CV_E_CONFIG with *why. Part of
// cv_config_load, but not of cv_config_parse.
int cv_folder_check(const char *folder, struct cv_why *why);
int cv_site_check(const struct cv_config_site *site, struct cv_why *why);
// The site as cv_site_parse takes it; "" for none. `size`: CV_SITE_TEXT_BYTES is enough.
enum { CV_SITE_TEXT_BYTES = CV_LIMIT_FOLDER_BYTES + 1 };
void cv_site_text(const struct cv_config_site *site, char *out, size_t size);
// "auto" (0) or 1 to CV_LIMIT_THREADS. 0, or CV_E_CONFIG with *out untouched.
int cv_threads_parse(const char *text, uint32_t *out);
// "debug", "info", "warn" or "error". 0, or CV_E_CONFIG with *out untouched.
int cv_log_level_parse(const char *text, enum cv_log_level *out);

#endif
