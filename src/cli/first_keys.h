// The first start of a server: its publish keys are made and shown.
#ifndef CV_CLI_FIRST_KEYS_H
#define CV_CLI_FIRST_KEYS_H

#include "server/config.h"
#include "server/keys.h"

#include <stdio.h>

// The store's keys. If there are none, one is made for every app that asks for keys, and printed to
// `file` with examples, this one time. 0 and *out, a reference that is the caller's; or CV_E_STORE,
// CV_E_SYSTEM, CV_E_NOMEM with *why.
int cv_first_keys(const struct cv_config *config, struct cv_store *store, FILE *file,
                  struct cv_keys **out, struct cv_why *why);

#endif
