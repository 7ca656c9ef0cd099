#include "io/mailbox.h"

#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/loop.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { CACHE_LINE_BYTES = 64, RING_MASK = CV_LIMIT_MAIL - 1 };

_Static_assert((CV_LIMIT_MAIL & RING_MASK) == 0, "positions wrap by a mask");

// One producer, one consumer. Positions count up for ever and wrap; each side has its own cache
// line, with its last view of the other's position, so that the lines move once per burst.
struct ring {
    atomic_uint tail; // written by the sender: mail before it is there
    unsigned head_seen;
    char sender_line[CACHE_LINE_BYTES - 2 * sizeof(unsigned)];
    atomic_uint head; // written by the receiver: slots before it are free
    char receiver_line[CACHE_LINE_BYTES - sizeof(unsigned)];
    struct cv_mail *slots[CV_LIMIT_MAIL];
};

// What one thread has.
struct box {
    // Set by a sender after it put mail into a ring, cleared by the receiver before it looks. Who
    // turns it from false to true wakes. Both are exchanges, so that either the receiver sees the
    // mail, or the sender sees false (and everything before the receiver's exchange, the loop
    // included).
    atomic_bool marked;
    _Atomic(struct cv_loop *) loop; // NULL while detached
    atomic_uint wakers;             // senders that may be holding `loop` just now
    atomic_ullong refused;
    bool delivering;
    unsigned thread;
    void *receiver;
    struct cv_post *post;
    char line[CACHE_LINE_BYTES];
};

struct cv_post {
    unsigned threads;
    struct box *boxes;
    _Atomic(struct ring *) *rings; // [from * threads + to], made by the sender's first mail
};

// ---- life -----------------------------------------------------------------------------------

struct cv_post *cv_post_new(unsigned threads)
{
    CV_ASSERT(threads > 0 && threads <= CV_LIMIT_POST_THREADS);
    struct cv_post *post = cv_mem_zero(1, sizeof *post);
    if (!post)
        return NULL;
    post->threads = threads;
    post->boxes = cv_mem_zero(threads, sizeof *post->boxes);
    post->rings = cv_mem_zero((size_t)threads * threads, sizeof *post->rings);
    if (!post->boxes || !post->rings) {
        cv_post_free(post, NULL, NULL);
        return NULL;
    }
    for (unsigned i = 0; i < threads; i++) {
        post->boxes[i].thread = i;
        post->boxes[i].post = post;
    }
    return post;
}

static struct cv_mail *ring_take(struct ring *ring)
{
    unsigned head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    struct cv_mail *mail = ring->slots[head & RING_MASK];
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return mail;
}

// How many the receiver can take now.
static unsigned ring_count(const struct ring *ring)
{
    return atomic_load_explicit(&ring->tail, memory_order_acquire) -
           atomic_load_explicit(&ring->head, memory_order_relaxed);
}

static void ring_free(struct ring *ring, void (*drop)(struct cv_mail *mail, void *arg), void *arg)
{
    for (unsigned left = ring_count(ring); left > 0; left--) {
        CV_ASSERT(drop);
        drop(ring_take(ring), arg);
    }
    cv_mem_free(ring);
}

void cv_post_free(struct cv_post *post, void (*drop)(struct cv_mail *mail, void *arg), void *arg)
{
    if (!post)
        return;
    for (unsigned i = 0; post->boxes && i < post->threads; i++)
        CV_ASSERT(!atomic_load(&post->boxes[i].loop)); // a loop would wake into freed memory
    for (unsigned i = 0; post->rings && i < post->threads * post->threads; i++) {
        struct ring *ring = atomic_load(&post->rings[i]);
        if (ring)
            ring_free(ring, drop, arg);
    }
    cv_mem_free(post->boxes);
    cv_mem_free(post->rings);
    cv_mem_free(post);
}

// ---- sending --------------------------------------------------------------------------------

// Wakes the box's loop if it has one. `wakers` holds up a detach meanwhile.
static void box_wake(struct box *box)
{
    atomic_fetch_add(&box->wakers, 1);
    struct cv_loop *loop = atomic_load(&box->loop);
    if (loop)
        cv_loop_wake(loop);
    atomic_fetch_sub(&box->wakers, 1);
}

static struct ring *ring_of_pair(struct cv_post *post, unsigned from, unsigned to)
{
    _Atomic(struct ring *) *place = &post->rings[from * post->threads + to];
    struct ring *ring = atomic_load_explicit(place, memory_order_relaxed); // only we write it
    if (ring)
        return ring;
    ring = cv_mem_zero(1, sizeof *ring);
    atomic_store_explicit(place, ring, memory_order_release);
    return ring;
}

static bool ring_put(struct ring *ring, struct cv_mail *mail)
{
    unsigned tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->head_seen == CV_LIMIT_MAIL) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail - ring->head_seen == CV_LIMIT_MAIL)
            return false;
    }
    ring->slots[tail & RING_MASK] = mail;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

int cv_post_send(struct cv_post *post, unsigned from, unsigned to, struct cv_mail *mail)
{
    CV_ASSERT(from < post->threads && to < post->threads);
    CV_ASSERT(mail->deliver);
    struct ring *ring = ring_of_pair(post, from, to);
    if (!ring)
        return CV_E_NOMEM;
    if (!ring_put(ring, mail)) {
        atomic_fetch_add_explicit(&post->boxes[from].refused, 1, memory_order_relaxed);
        return CV_E_QUEUE_FULL;
    }
    struct box *box = &post->boxes[to];
    if (!atomic_exchange(&box->marked, true))
        box_wake(box);
    return CV_OK;
}

uint64_t cv_post_refused(const struct cv_post *post, unsigned from)
{
    CV_ASSERT(from < post->threads);
    return atomic_load_explicit(&post->boxes[from].refused, memory_order_relaxed);
}

// ---- receiving ------------------------------------------------------------------------------

// Delivers what is there now; what comes meanwhile has its own wake, so that nobody can keep the
// loop here.
static void on_wake(void *arg)
{
    struct box *box = arg;
    struct cv_post *post = box->post;
    atomic_exchange(&box->marked, false);
    box->delivering = true;
    for (unsigned from = 0; from < post->threads; from++) {
        struct ring *ring = atomic_load_explicit(&post->rings[from * post->threads + box->thread],
                                                 memory_order_acquire);
        for (unsigned left = ring ? ring_count(ring) : 0; left > 0; left--) {
            struct cv_mail *mail = ring_take(ring);
            mail->deliver(mail, box->receiver);
        }
    }
    box->delivering = false;
}

int cv_post_attach(struct cv_post *post, unsigned thread, struct cv_loop *loop, void *receiver)
{
    CV_ASSERT(thread < post->threads);
    struct box *box = &post->boxes[thread];
    CV_ASSERT(!atomic_load(&box->loop));
    cv_loop_assert_owner(loop);
    box->receiver = receiver;
    cv_loop_on_wake(loop, on_wake, box);
    atomic_store(&box->loop, loop);
    cv_loop_wake(loop); // for the mail that came before
    return CV_OK;
}

void cv_post_detach(struct cv_post *post, unsigned thread)
{
    CV_ASSERT(thread < post->threads);
    struct box *box = &post->boxes[thread];
    CV_ASSERT(!box->delivering);
    struct cv_loop *loop = atomic_exchange(&box->loop, NULL);
    if (!loop)
        return;
    while (atomic_load(&box->wakers) > 0)
        sched_yield(); // one of them may still be writing to the loop's descriptor
    cv_loop_on_wake(loop, NULL, NULL);
}
