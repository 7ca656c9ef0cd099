#include "client/trust.h"

int cv_trust_load(struct cv_tls_trust **out, const struct cv_target *target,
                  const struct cv_tls_trust_config *config, struct cv_why *why)
{
    struct cv_why wrong = {.code = CV_OK};
    *out = NULL;
    if (target->security == CV_SECURITY_PLAIN)
        return CV_OK;
    int err = cv_tls_trust_new(out, config, &wrong);
    bool named = config->ca_file && config->ca_file[0];
    bool needed = target->security == CV_SECURITY_ONLY || named || err == CV_E_NOMEM;
    if (err == CV_OK || !needed)
        return CV_OK;
    return cv_why_set(why, err, "trust", "%s", wrong.text);
}
