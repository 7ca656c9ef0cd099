// The first start of a server: its publish keys are made and shown.
#include "cli/first_keys.h"

#include <string.h>
#include <unistd.h>

static bool listens_on(const struct cv_config *config, uint16_t port)
{
    for (uint32_t i = 0; i < config->listen_count; i++) {
        if (config->listen[i].port == port)
            return true;
    }
    return false;
}

// The server's part of a URL to paste: this machine's name, and the port if it must be said.
static void example_host(const struct cv_config *config, char *out, size_t size)
{
    char host[128];
    if (gethostname(host, sizeof host) != 0 || host[0] == '\0')
        snprintf(host, sizeof host, "localhost");
    host[sizeof host - 1] = '\0';
    if (listens_on(config, CV_PORT_RTMP))
        snprintf(out, size, "%s", host);
    else
        snprintf(out, size, "%s:%u", host, config->listen[0].port);
}

static void print_key(FILE *file, const struct cv_config *config, const char *app, const char *key)
{
    char host[160];
    example_host(config, host, sizeof host);
    fprintf(file,
            "A publish key for app \"%s\", made now and shown only this once:\n\n"
            "    %s\n\n"
            "  FFmpeg  ffmpeg -re -i input.mp4 -c copy -f flv 'rtmp://%s/%s/mystream?key=%s'\n"
            "  OBS     Server:      rtmp://%s/%s\n"
            "          Stream Key:  mystream?key=%s\n"
            "  play    ffplay 'rtmp://%s/%s/mystream'\n\n"
            "More keys: culvert key add\n\n",
            app, key, host, app, key, host, app, key, host, app);
    fflush(file);
}

// With no key in the store: one for every app that asks for keys.
static int make_keys(const struct cv_config *config, struct cv_store *store, FILE *file,
                     struct cv_why *why)
{
    for (uint32_t i = 0; i < config->app_count; i++) {
        const struct cv_config_app *app = &config->apps[i];
        if (cv_config_publish(config, app) != CV_ACCESS_KEY)
            continue;
        char key[CV_KEY_TEXT_BYTES + 1];
        int64_t id;
        int err = cv_key_add(store, app->name, "", "made at first start", key, &id, why);
        if (err != CV_OK)
            return err;
        print_key(file, config, app->name, key);
        explicit_bzero(key, sizeof key);
    }
    return CV_OK;
}

int cv_first_keys(const struct cv_config *config, struct cv_store *store, FILE *file,
                  struct cv_keys **out, struct cv_why *why)
{
    struct cv_keys *keys;
    int err = cv_keys_load(store, &keys, why);
    if (err != CV_OK)
        return err;
    if (cv_keys_count(keys) > 0) {
        *out = keys;
        return CV_OK;
    }
    cv_keys_unref(&keys);
    err = make_keys(config, store, file, why);
    return err == CV_OK ? cv_keys_load(store, out, why) : err;
}
