// Which network this machine is in, as a name under which something can be remembered.
#ifndef CV_CLIENT_NETWORK_H
#define CV_CLIENT_NETWORK_H

#include "base/text.h"

enum { CV_LIMIT_NETWORK_BYTES = 96 };

// The present network: the default gateway's hardware address (its IP address where that is not
// known; the device where there is no gateway) and the local prefix, as printable text without
// blanks: "02:fc:00:00:00:05@192.0.2.0/24". "-" when there is no default route. IPv6 counts where
// IPv4 has none. Reads the system's tables (/proc/net/route, arp, ipv6_route), sends no packets.
// The hardware address is known once a packet has been sent, so ask behind the name look-up.
void cv_network_name(char out[CV_LIMIT_NETWORK_BYTES + 1]);

// The same from the text of those tables. What is malformed in them is not seen.
void cv_network_describe(char out[CV_LIMIT_NETWORK_BYTES + 1], struct cv_text route,
                         struct cv_text arp, struct cv_text ipv6_route);

#endif
