// The post office: the only crossing between threads.
//
// One bounded lock-free ring per (sender, receiver) pair of threads, so that each ring has one
// producer and one consumer. Order is kept per pair. Receivers are woken once per burst.
#ifndef CV_IO_MAILBOX_H
#define CV_IO_MAILBOX_H

#include <stddef.h>
#include <stdint.h>

struct cv_loop;
struct cv_post;

// Embedded first in the message's own struct. From cv_post_send to `deliver` it is the post's; from
// `deliver` on, the receiver's. What it points to must be immutable or handed over with it.
struct cv_mail {
    void (*deliver)(struct cv_mail *mail, void *receiver);
};

// A post office for `threads` threads, numbered from 0 (workers, and the main thread as one of
// them). NULL when there is no memory.
struct cv_post *cv_post_new(unsigned threads);
// When no thread uses it any more. Mail that was not delivered is handed to `drop` (which may know
// its kind by `deliver`). NULL is allowed.
void cv_post_free(struct cv_post *post, void (*drop)(struct cv_mail *mail, void *arg), void *arg);

// On the thread that will run `loop`, or before that thread exists: mail to `thread` is delivered
// on that loop, to `receiver`, what was sent before included. Returns 0.
int cv_post_attach(struct cv_post *post, unsigned thread, struct cv_loop *loop, void *receiver);
// On that thread, not inside `deliver`: nothing is delivered and the loop is not touched from now
// on; later mail waits for another attach or for `drop`. Needed before the loop is freed.
void cv_post_detach(struct cv_post *post, unsigned thread);
// Sends; only thread `from` may say `from` (== `to` is allowed: delivered in a later turn).
// CV_E_QUEUE_FULL when CV_LIMIT_MAIL are under way between the two, CV_E_NOMEM for the pair's first
// mail: then the mail stays the caller's.
int cv_post_send(struct cv_post *post, unsigned from, unsigned to, struct cv_mail *mail);
// How many sends of `from` failed because a ring was full. Any thread may ask.
uint64_t cv_post_refused(const struct cv_post *post, unsigned from);

#endif
