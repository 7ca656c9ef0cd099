#include "cli/stream_options.h"

#include "client/memory.h"
#include "client/trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- options --------------------------------------------------------------------------------

static struct cv_stream_options *options_of(void *into)
{
    return into;
}

int cv_stream_set_via(void *into, const char *value, struct cv_why *why)
{
    static const char *const names[] = {
        [CV_VIA_AUTO] = "auto",
        [CV_VIA_RTMP] = "rtmp",
        [CV_VIA_RTMPT] = "rtmpt",
        [CV_VIA_SOCKET] = "ws",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) != 0)
            continue;
        options_of(into)->via = (enum cv_via)i;
        return CV_OK;
    }
    return cv_why_set(why, CV_E_USAGE, "options", "--via %.60s: rtmp, rtmpt, ws or auto", value);
}

int cv_stream_set_order(void *into, const char *value, struct cv_why *why)
{
    if (strcmp(value, "offer-first") == 0)
        options_of(into)->order = CV_LADDER_OFFER_FIRST;
    else if (strcmp(value, "rtmp-first") == 0)
        options_of(into)->order = CV_LADDER_RTMP_FIRST;
    else
        return cv_why_set(why, CV_E_USAGE, "options", "--order %.60s: offer-first or rtmp-first",
                          value);
    return CV_OK;
}

int cv_stream_set_proxy(void *into, const char *value, struct cv_why *why)
{
    if (*value == '\0')
        return cv_why_set(why, CV_E_USAGE, "options", "--proxy needs a URL, or none");
    options_of(into)->proxy = value;
    return CV_OK;
}

int cv_stream_set_ca(void *into, const char *value, struct cv_why *why)
{
    if (*value == '\0')
        return cv_why_set(why, CV_E_USAGE, "options", "--ca needs the name of a file");
    options_of(into)->ca_file = value;
    return CV_OK;
}

#define FLAG(member)                                                                               \
    int cv_stream_set_##member(void *into, const char *value, struct cv_why *why)                  \
    {                                                                                              \
        (void)value;                                                                               \
        (void)why;                                                                                 \
        options_of(into)->member = true;                                                           \
        return CV_OK;                                                                              \
    }
FLAG(insecure)
FLAG(no_memory)
FLAG(verbose)
FLAG(quiet)
FLAG(json)
#undef FLAG

// ---- a plan ---------------------------------------------------------------------------------

static const char *environment(const char *name)
{
    return getenv(name);
}

// A scheme that leaves no choice and an option that says something else contradict each other.
static int choose_via(struct cv_stream_plan *plan, enum cv_via asked, struct cv_why *why)
{
    enum cv_via named = plan->target.via;
    if (asked != CV_VIA_AUTO && named != CV_VIA_AUTO && asked != named)
        return cv_why_set(why, CV_E_USAGE, "options", "--via contradicts the URL's scheme");
    plan->via = asked != CV_VIA_AUTO ? asked : named;
    return CV_OK;
}

static int load_trust(struct cv_stream_plan *plan, const struct cv_stream_options *options,
                      struct cv_why *why)
{
    const struct cv_tls_trust_config config = {.ca_file = options->ca_file,
                                               .insecure = options->insecure};
    if (options->insecure && options->ca_file)
        return cv_why_set(why, CV_E_USAGE, "options",
                          "--ca has no meaning beside --insecure, which believes anybody");
    int err = cv_trust_load(&plan->trust, &plan->target, &config, why);
    if (plan->trust && options->insecure)
        fprintf(stderr, "culvert: warning: --insecure: the connection is encrypted, but to whom is "
                        "not checked; anybody on the way may read and change everything, keys "
                        "too\n");
    return err;
}

int cv_stream_plan_make(struct cv_stream_plan *out, const struct cv_stream_options *options,
                        const char *url, struct cv_tls_trust *trust, struct cv_why *why)
{
    struct cv_why wrong = {.code = CV_OK};
    *out = (struct cv_stream_plan){.order = options->order};
    int err = cv_target_parse(&out->target, cv_text_of(url), &wrong);
    if (err != CV_OK)
        return cv_why_set(why, err, "url", "the URL: %.120s; one looks so: rtmp://HOST/APP/STREAM",
                          wrong.text);
    err = choose_via(out, options->via, why);
    if (err == CV_OK)
        err = cv_proxies_find(&out->proxies, cv_text_of(options->proxy ? options->proxy : ""),
                              &out->target, environment, why);
    if (err == CV_OK && !options->no_memory)
        cv_memory_default_path(out->memory_path, sizeof out->memory_path);
    if (err == CV_OK && trust)
        out->trust = cv_tls_trust_ref(trust);
    else if (err == CV_OK)
        err = load_trust(out, options, why);
    return err;
}

void cv_stream_plan_done(struct cv_stream_plan *plan)
{
    cv_tls_trust_unref(&plan->trust);
}

const struct cv_proxy *cv_stream_plan_proxy(const struct cv_stream_plan *plan)
{
    return cv_proxies_first(&plan->proxies, plan->target.security);
}

void cv_stream_plan_apply(const struct cv_stream_plan *plan, struct cv_connection_config *config)
{
    config->target = &plan->target;
    config->via = plan->via;
    config->order = plan->order;
    config->proxies = &plan->proxies;
    config->trust = plan->trust;
    config->memory_path = plan->memory_path;
}
