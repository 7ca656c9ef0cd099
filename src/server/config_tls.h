// The part `tls:` of the configuration. Only for the config files of this room.
#ifndef CV_SERVER_CONFIG_TLS_H
#define CV_SERVER_CONFIG_TLS_H

#include "server/config_yaml.h"

// Reads it from the file. 0, CV_E_CONFIG or CV_E_NOMEM with *why.
int cv_config_tls_read(struct cv_yaml *yaml, struct cv_config *config, struct cv_config_why *why);
// What the command line says stands over it. 0 or CV_E_NOMEM.
int cv_config_tls_lay_over(struct cv_config_tls *tls, const struct cv_config_override *over);
// What does not fit together with the ports. 0 or CV_E_CONFIG with *why.
int cv_config_tls_check(struct cv_yaml *yaml, const struct cv_config *config,
                        struct cv_config_why *why);
// Gives back what it owns.
void cv_config_tls_done(struct cv_config_tls *tls);

#endif
