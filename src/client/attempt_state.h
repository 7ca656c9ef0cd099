// The inside of an attempt: what its files share. Not for others.
//
// attempt.c holds the RTMP engine, tells the owner, and knows nothing of transports. How the bytes
// travel is a carrier: attempt_plain.c, attempt_tunnel.c, attempt_socket.c; what those have in
// common that need one leg only is in attempt_leg.c. An offer begins as a tunnel and may become
// plain. A proxy's CONNECT and TLS are the legs' affair: carriers know them by their reports only.
#ifndef CV_CLIENT_ATTEMPT_STATE_H
#define CV_CLIENT_ATTEMPT_STATE_H

#include "client/attempt.h"
#include "client/leg.h"
#include "io/loop.h"
#include "proto/http1.h"
#include "proto/rtmpt_client.h"
#include "proto/ws.h"

// A static table per transport.
struct cv_carrier {
    const char *names[2]; // plain, and inside TLS
    // Begins to dial. 0, or CV_E_NOMEM and the like.
    int (*begin)(struct cv_attempt *attempt);
    // Writes what RTMP has, as far as it is taken.
    void (*flush)(struct cv_attempt *attempt);
    bool (*is_blocked)(const struct cv_attempt *attempt);
    // Everything is in the engines: deliver it, say goodbye, then cv__attempt_fall(CV_OK).
    void (*finish)(struct cv_attempt *attempt);
    // Of those with one leg (cv__attempt_dial); a tunnel has none of it. It stands: sends the
    // opening, if there is one. 0, or an error.
    int (*up)(struct cv_attempt *attempt);
    void (*bytes)(struct cv_attempt *attempt, const void *data, size_t len);
};

// Whose leg it is: what a tunnel's legs give back to it.
struct cv_attempt_slot {
    struct cv_attempt *attempt;
    enum cv_rtmpt_slot slot;
};

struct cv_attempt {
    struct cv_attempt_room *room;
    struct cv_attempt_config config;
    const struct cv_carrier *carrier;
    struct cv_rtmp_client *rtmp;
    struct cv_leg *legs[CV_RTMPT_SLOTS]; // plain and socket: the first one only
    struct cv_attempt_slot slots[CV_RTMPT_SLOTS];
    struct cv_rtmpt_client *tunnel;
    struct cv_http1 *http; // socket: the answer to its opening
    struct cv_ws *ws;      // socket: then
    struct cv_timer timer; // tunnel: its deadline. Finishing: the end of our patience
    char ws_key[28];
    char first[16]; // the first bytes of the server, while they may be another protocol's
    uint8_t first_len;
    char location[256];
    bool connected; // its TCP connection has stood
    bool up;        // and TLS on it, where it is secure
    bool opened;    // tunnel: there is a session
    bool pumping;   // tunnel: its bytes are being moved
    bool asked;     // connect was sent
    bool handshake; // is complete
    bool accepted;
    bool said_end;
    enum cv_rtmp_client_end end;
    bool started;
    bool finishing;
    bool over;      // its end was told, or nobody wants to know
    bool freed;     // cv_attempt_free was called
    unsigned depth; // calls of ours that are under way: freed behind the outermost
    uint64_t heard_us;
    uint64_t connections;
    struct cv_why why;
    struct cv_why tls_why;  // of a failed handshake
    struct cv_addr addrs[]; // config.addrs
};

struct cv_attempt_room {
    struct cv_turn *turns; // wanted ones
    struct cv_leg_room legs;
};

extern const struct cv_carrier cv__attempt_plain;
extern const struct cv_carrier cv__attempt_tunnel;
extern const struct cv_carrier cv__attempt_socket;

// Around everything that comes from the loop: in between, the attempt's memory stays.
void cv__attempt_enter(struct cv_attempt *attempt);
void cv__attempt_leave(struct cv_attempt *attempt);

void cv__attempt_met(struct cv_attempt *attempt, const struct cv_met_report *report);
// What its first leg tells: the TCP connection stands; and so does TLS, where it is secure.
void cv__attempt_connected(struct cv_attempt *attempt);
void cv__attempt_up(struct cv_attempt *attempt);
// A leg has ended: keeps what there is to say of that.
void cv__attempt_leg_down(struct cv_attempt *attempt, const struct cv_leg *leg);
// Bytes of RTMP.
void cv__attempt_take(struct cv_attempt *attempt, const void *data, size_t len);
// The way has ended; code CV_OK: as we wished.
void cv__attempt_fall(struct cv_attempt *attempt, int code, const char *what);
// An HTTP answer that leads nowhere.
void cv__attempt_page(struct cv_attempt *attempt, uint32_t status, bool elsewhere,
                      struct cv_text location);
// The same for an opening of ours that was answered otherwise.
void cv__attempt_answer(struct cv_attempt *attempt, const struct cv_http1_head *head);
// HTTP requests are made to a proxy that carries them on: with absolute targets.
bool cv__attempt_is_proxied(const struct cv_attempt *attempt);
// The server, as Host names it.
const char *cv__attempt_authority(const struct cv_attempt *attempt);
// Opens a leg to the server, or to who carries requests there. The slot must be empty.
int cv__attempt_open_leg(struct cv_attempt *attempt, unsigned slot,
                         const struct cv_leg_owner *owner, void *arg);
// Dials the one leg of a carrier that has up and bytes.
int cv__attempt_dial(struct cv_attempt *attempt);
// The first leg, whoever's it was, is such a carrier's from now on.
void cv__attempt_adopt_leg(struct cv_attempt *attempt);
// Finishing: ends the attempt when nothing has left for CV_TUNNEL_GOODBYE_MS. Called again whenever
// something has: a slow network is no dead one.
void cv__attempt_lose_patience(struct cv_attempt *attempt);
// The rest of an attempt's life as plain RTMP on the first leg.
void cv__attempt_go_plain(struct cv_attempt *attempt);
// Moves to *out what RTMP lends, through the room's gather. False: nothing waits.
bool cv__attempt_pull(struct cv_attempt *attempt, struct cv_gather **out);
// Sends the head of a request on the first leg. A new connection takes a head of a few hundred
// bytes whole. 0, or an error of the writer's or of the leg's.
int cv__attempt_send_head(struct cv_attempt *attempt, const struct cv_wr *head);
// Proxy-Authorization, where a request goes to a proxy that wants it.
void cv__attempt_put_credentials(const struct cv_attempt *attempt, struct cv_wr *wr);
// A new RTMP engine in place of the one there is: nothing it has sent was taken.
int cv__attempt_renew(struct cv_attempt *attempt);

#endif
