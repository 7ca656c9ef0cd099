// The YAML file as text values in the shape of the schema, and the line of each.
//
// libcyaml checks the shape (keys, lists, mappings) and loads every scalar as text: its own numbers
// take "5x" for 5 and "-5" for 2^64 - 5. The lines come from libyaml, on which it stands: its own
// are those of the event before. Only for the config files of this room.
#ifndef CV_SERVER_CONFIG_YAML_H
#define CV_SERVER_CONFIG_YAML_H

#include "server/config.h"
#include "server/config_table.h"

#include <yaml.h>

#define CV_RAW_MEMBER(name, ...) char *name;

// Absent settings are NULL.
struct cv_raw_limits {
    CV_CONFIG_LIMITS(CV_RAW_MEMBER)
};

struct cv_raw_app {
    char *name;
    CV_CONFIG_APP(CV_RAW_MEMBER)
};

struct cv_raw_certificate {
    char *cert;
    char *key;
};

struct cv_raw_acme {
    char *directory;
    char *email;
    char **domains;
    uint32_t domains_count;
    char *ca_file;
};

struct cv_raw_tls {
    char *cert; // the short form of one certificate
    char *key;  //
    struct cv_raw_certificate *certificates;
    uint32_t certificates_count;
    struct cv_raw_acme acme;
    char *challenge_folder;
    CV_CONFIG_TLS(CV_RAW_MEMBER)
};

struct cv_raw_config {
    char **listen;
    uint32_t listen_count;
    char *state;
    char **trusted_proxies;
    uint32_t trusted_proxies_count;
    char *site;
    CV_CONFIG_TOP(CV_RAW_MEMBER)
    struct cv_raw_tls tls;
    struct cv_raw_limits limits;
    struct cv_raw_app *apps;
    uint32_t apps_count;
};

struct cv_yaml {
    const char *name;          // of the file, for messages; borrowed
    yaml_document_t document;  // for the lines
    struct cv_raw_config *raw; // NULL when the file sets nothing
};

// Loads the text. 0, or CV_E_CONFIG, CV_E_NOMEM with *why. cv_yaml_done ends *yaml after success.
int cv_yaml_load(struct cv_yaml *yaml, const char *name, const char *text, size_t len,
                 struct cv_config_why *why);
void cv_yaml_done(struct cv_yaml *yaml);

// Fills *why with "name:line: text", where the line is that of `path` ("apps[1].grace_s", or "" for
// no line), and returns CV_E_CONFIG.
int cv_yaml_fail(struct cv_yaml *yaml, struct cv_config_why *why, const char *path,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
