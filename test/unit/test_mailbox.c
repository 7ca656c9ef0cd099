// The post office with real threads; also run under the thread sanitizer.
#include "harness.h"

#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "io/thread.h"

#include <sched.h>
#include <stdatomic.h>

struct letter {
    struct cv_mail mail; // first
    unsigned from;
    unsigned number; // per pair, from 0
};

static struct letter *letter_new(unsigned from, unsigned number,
                                 void (*deliver)(struct cv_mail *, void *))
{
    struct letter *letter = cv_mem_alloc(sizeof *letter);
    assert_non_null(letter);
    *letter = (struct letter){.mail = {deliver}, .from = from, .number = number};
    return letter;
}

// ---- one thread -----------------------------------------------------------------------------

struct desk {
    struct cv_loop *loop;
    struct cv_post *post;
    unsigned expected[4]; // next number from each thread
    unsigned received;
};

static void deliver(struct cv_mail *mail, void *receiver)
{
    struct letter *letter = (struct letter *)mail;
    struct desk *desk = receiver;
    assert_int_equal(letter->number, desk->expected[letter->from]++);
    desk->received++;
    cv_mem_free(letter);
}

static void drop(struct cv_mail *mail, void *arg)
{
    deliver(mail, arg);
}

static void desk_close(struct desk *desk, unsigned thread)
{
    cv_post_detach(desk->post, thread);
    cv_loop_free(desk->loop);
}

static void full_ring_refuses_and_takes_nothing(void **state)
{
    (void)state;
    struct desk desk = {.loop = cv_loop_new(), .post = cv_post_new(2)};
    for (unsigned i = 0; i < CV_LIMIT_MAIL; i++)
        assert_int_equal(cv_post_send(desk.post, 0, 1, &letter_new(0, i, deliver)->mail), 0);
    struct letter *extra = letter_new(0, CV_LIMIT_MAIL, deliver);
    assert_int_equal(cv_post_send(desk.post, 0, 1, &extra->mail), CV_E_QUEUE_FULL);
    assert_int_equal(cv_post_refused(desk.post, 0), 1);
    assert_int_equal(cv_post_refused(desk.post, 1), 0);
    // Attached late: what was sent before arrives, then there is room again.
    assert_int_equal(cv_post_attach(desk.post, 1, desk.loop, &desk), 0);
    cv_loop_run_once(desk.loop);
    assert_int_equal(desk.received, CV_LIMIT_MAIL);
    assert_int_equal(cv_post_send(desk.post, 0, 1, &extra->mail), 0);
    cv_loop_run_once(desk.loop);
    assert_int_equal(desk.received, CV_LIMIT_MAIL + 1);
    desk_close(&desk, 1);
    cv_post_free(desk.post, NULL, NULL);
}

static void undelivered_mail_is_dropped_in_order(void **state)
{
    (void)state;
    struct desk desk = {.loop = cv_loop_new(), .post = cv_post_new(4)};
    assert_int_equal(cv_post_attach(desk.post, 3, desk.loop, &desk), 0);
    for (unsigned i = 0; i < 500; i++) {
        for (unsigned from = 0; from < 4; from++)
            assert_int_equal(cv_post_send(desk.post, from, 3, &letter_new(from, i, deliver)->mail),
                             0);
    }
    cv_loop_run_once(desk.loop);
    assert_int_equal(desk.received, 2000);
    assert_int_equal(cv_post_send(desk.post, 2, 3, &letter_new(2, 500, deliver)->mail), 0);
    desk_close(&desk, 3);
    assert_int_equal(cv_post_send(desk.post, 2, 3, &letter_new(2, 501, deliver)->mail), 0);
    assert_int_equal(cv_post_send(desk.post, 3, 0, &letter_new(3, 500, deliver)->mail), 0);
    assert_int_equal(desk.received, 2000);
    cv_post_free(desk.post, drop, &desk);
    assert_int_equal(desk.received, 2003);
}

static void deliver_and_answer(struct cv_mail *mail, void *receiver)
{
    struct letter *letter = (struct letter *)mail;
    struct desk *desk = receiver;
    desk->received++;
    letter->number++;
    assert_int_equal(cv_post_send(desk->post, 0, 0, mail), 0); // for ever
}

static void mail_to_itself_waits_for_the_next_turn(void **state)
{
    (void)state;
    struct desk desk = {.loop = cv_loop_new(), .post = cv_post_new(1)};
    assert_int_equal(cv_post_attach(desk.post, 0, desk.loop, &desk), 0);
    struct letter *letter = letter_new(0, 0, deliver_and_answer);
    assert_int_equal(cv_post_send(desk.post, 0, 0, &letter->mail), 0);
    for (unsigned turn = 1; turn < 10; turn++) {
        cv_loop_run_once(desk.loop);
        assert_int_equal(desk.received, turn);
    }
    letter->number = 0;
    desk_close(&desk, 0);
    cv_post_free(desk.post, drop, &desk);
}

static void leave(struct cv_mail *mail, void *arg)
{
    (void)mail;
    ++*(unsigned *)arg;
}

static bool send_one(void *arg)
{
    (void)arg;
    unsigned dropped = 0;
    struct letter letter = {.mail = {deliver}};
    struct cv_post *post = cv_post_new(3);
    int sent = post ? cv_post_send(post, 0, 2, &letter.mail) : CV_E_NOMEM;
    assert_true(sent == CV_OK || sent == CV_E_NOMEM);
    cv_post_free(post, leave, &dropped);
    assert_int_equal(dropped, sent == CV_OK);
    return sent == CV_OK;
}

static void post_survives_failing_memory(void **state)
{
    (void)state;
    fail_nth(send_one, NULL);
}

// ---- many threads ---------------------------------------------------------------------------

enum { THREADS = 4, LETTERS = 100000 }; // per pair: 1.6 million in all

struct worker {
    struct desk desk; // first: receiver of mail
    struct cv_thread *thread;
    unsigned id;
    unsigned sent[THREADS];
    unsigned refused;
};

static bool worker_has_sent_all(const struct worker *worker)
{
    for (unsigned to = 0; to < THREADS; to++) {
        if (worker->sent[to] < LETTERS)
            return false;
    }
    return true;
}

static void worker_send(struct worker *worker, unsigned to)
{
    for (unsigned i = 0; i < 300 && worker->sent[to] < LETTERS; i++) {
        struct letter *letter = letter_new(worker->id, worker->sent[to], deliver);
        if (cv_post_send(worker->desk.post, worker->id, to, &letter->mail) != CV_OK) {
            worker->refused++;
            cv_mem_free(letter);
            sched_yield();
            return;
        }
        worker->sent[to]++;
    }
}

static void worker_turn(void *arg)
{
    struct worker *worker = arg;
    for (unsigned to = 0; to < THREADS; to++)
        worker_send(worker, to);
    if (!worker_has_sent_all(worker))
        cv_loop_wake(worker->desk.loop);
    else if (worker->desk.received == THREADS * LETTERS)
        cv_loop_stop(worker->desk.loop);
}

static void worker_main(void *arg)
{
    struct worker *worker = arg;
    worker->desk.loop = cv_loop_new();
    assert_non_null(worker->desk.loop);
    cv_post_attach(worker->desk.post, worker->id, worker->desk.loop, &worker->desk);
    cv_loop_on_turn(worker->desk.loop, worker_turn, worker);
    cv_loop_run(worker->desk.loop);
    desk_close(&worker->desk, worker->id);
}

static void millions_of_letters_keep_their_order(void **state)
{
    (void)state;
    static struct worker workers[THREADS];
    struct cv_post *post = cv_post_new(THREADS);
    assert_non_null(post);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.desk = {.post = post}, .id = i};
        assert_int_equal(cv_thread_start(&workers[i].thread, "worker", worker_main, &workers[i]),
                         0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        cv_thread_join(&workers[i].thread);
        assert_int_equal(workers[i].desk.received, THREADS * LETTERS);
        assert_int_equal(cv_post_refused(post, i), workers[i].refused);
    }
    cv_post_free(post, NULL, NULL);
}

// A sender goes on while the receiver's loops come and go: a wake never meets a loop that is gone.
enum { FEW_LETTERS = 50000 };

static void sender_main(void *arg)
{
    struct cv_post *post = arg;
    for (unsigned i = 0; i < FEW_LETTERS; i++) {
        struct letter *letter = letter_new(0, i, deliver);
        while (cv_post_send(post, 0, 1, &letter->mail) == CV_E_QUEUE_FULL)
            sched_yield();
    }
}

static void loops_may_come_and_go(void **state)
{
    (void)state;
    struct desk desk = {.post = cv_post_new(2)};
    struct cv_thread *sender;
    assert_non_null(desk.post);
    assert_int_equal(cv_thread_start(&sender, "sender", sender_main, desk.post), 0);
    unsigned loops = 0;
    while (desk.received < FEW_LETTERS) {
        desk.loop = cv_loop_new();
        assert_non_null(desk.loop);
        cv_post_attach(desk.post, 1, desk.loop, &desk);
        cv_loop_run_once(desk.loop);
        cv_loop_run_once(desk.loop);
        desk_close(&desk, 1);
        loops++;
    }
    cv_thread_join(&sender);
    assert_true(loops > 1);
    cv_post_free(desk.post, NULL, NULL);
}

// Sleeping receivers are woken: each letter is answered before the next one is sent.
enum { ROUNDS = 20000 };

static void deliver_ping(struct cv_mail *mail, void *receiver)
{
    struct worker *worker = receiver;
    struct letter *letter = (struct letter *)mail;
    bool last = letter->number >= ROUNDS;
    letter->number++;
    assert_int_equal(cv_post_send(worker->desk.post, worker->id, 1 - worker->id, mail), 0);
    if (last)
        cv_loop_stop(worker->desk.loop);
}

static void ponger_main(void *arg)
{
    struct worker *worker = arg;
    worker->desk.loop = cv_loop_new();
    assert_non_null(worker->desk.loop);
    cv_post_attach(worker->desk.post, worker->id, worker->desk.loop, worker);
    cv_loop_run(worker->desk.loop);
    desk_close(&worker->desk, worker->id);
}

static void free_letter(struct cv_mail *mail, void *arg)
{
    unsigned *count = arg;
    (*count)++;
    cv_mem_free(mail);
}

static void no_wake_is_lost(void **state)
{
    (void)state;
    static struct worker workers[2];
    struct cv_post *post = cv_post_new(2);
    unsigned left = 0;
    assert_non_null(post);
    struct letter *letter = letter_new(0, 0, deliver_ping);
    assert_int_equal(cv_post_send(post, 0, 1, &letter->mail), 0); // before anybody is there
    for (unsigned i = 0; i < 2; i++) {
        workers[i] = (struct worker){.desk = {.post = post}, .id = i};
        assert_int_equal(cv_thread_start(&workers[i].thread, "ponger", ponger_main, &workers[i]),
                         0);
    }
    cv_thread_join(&workers[0].thread);
    cv_thread_join(&workers[1].thread);
    cv_post_free(post, free_letter, &left);
    assert_int_equal(left, 1);
}

// Letters that arrive while the receiver empties its box: each burst is waited for, so that one
// lost wake would hang the test.
enum { BURSTS = 30000 };

struct sleeper {
    struct cv_loop *loop;
    struct cv_post *post;
    atomic_uint received;
};

static void deliver_counted(struct cv_mail *mail, void *receiver)
{
    struct sleeper *sleeper = receiver;
    struct letter *letter = (struct letter *)mail;
    if (letter->number == UINT32_MAX)
        cv_loop_stop(sleeper->loop);
    cv_mem_free(letter);
    atomic_fetch_add(&sleeper->received, 1);
}

static void sleeper_main(void *arg)
{
    struct sleeper *sleeper = arg;
    cv_post_attach(sleeper->post, 1, sleeper->loop, sleeper);
    cv_loop_run(sleeper->loop);
    cv_post_detach(sleeper->post, 1);
}

static void bursts_wake_a_sleeper(void **state)
{
    (void)state;
    struct sleeper sleeper = {.loop = cv_loop_new(), .post = cv_post_new(2)};
    struct cv_thread *thread;
    unsigned sent = 0;
    assert_int_equal(cv_thread_start(&thread, "sleeper", sleeper_main, &sleeper), 0);
    for (unsigned burst = 0; burst <= BURSTS; burst++) {
        unsigned number = burst < BURSTS ? burst : UINT32_MAX;
        for (unsigned i = 0; i <= burst % 3; i++, sent++) {
            assert_int_equal(
                cv_post_send(sleeper.post, 0, 1, &letter_new(0, number, deliver_counted)->mail), 0);
            for (volatile unsigned spin = 0; spin < burst % 1000; spin++)
                continue;
        }
        while (burst < BURSTS && atomic_load(&sleeper.received) < sent)
            sched_yield();
    }
    cv_thread_join(&thread);
    unsigned left = 0;
    cv_post_free(sleeper.post, free_letter, &left);
    assert_int_equal(atomic_load(&sleeper.received) + left, sent);
    cv_loop_free(sleeper.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_ring_refuses_and_takes_nothing),
        cmocka_unit_test(undelivered_mail_is_dropped_in_order),
        cmocka_unit_test(mail_to_itself_waits_for_the_next_turn),
        cmocka_unit_test(post_survives_failing_memory),
        cmocka_unit_test(millions_of_letters_keep_their_order),
        cmocka_unit_test(loops_may_come_and_go),
        cmocka_unit_test(no_wake_is_lost),
        cmocka_unit_test(bursts_wake_a_sleeper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
