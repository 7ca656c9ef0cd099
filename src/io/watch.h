// Readiness of a descriptor, level triggered: while it is ready and wanted, each turn says so.
#ifndef CV_IO_WATCH_H
#define CV_IO_WATCH_H

#include <stdbool.h>
#include <stddef.h>

struct cv_loop;

enum {
    CV_WATCH_READ = 1,
    CV_WATCH_WRITE = 2,
};

enum { CV_WATCH_STORAGE_WORDS = 20 };

// Embedded in its owner, zeroed at first. The members are private.
struct cv_watch {
    struct cv_loop *loop; // NULL unless started
    void (*fn)(void *arg, unsigned events);
    void *arg;
    void (*on_closed)(void *arg);
    void *closed_arg;
    unsigned events;
    int fd;
    bool closing;
    void *storage[CV_WATCH_STORAGE_WORDS];
};

// Watches `fd` for `events` (0: for nothing yet). `fn` is told which of them are there; an error or
// a hang-up shows as all wanted events, and the next read or write tells what it was. `fn` may
// close the watch. One watch per descriptor. The descriptor stays the caller's and becomes
// non-blocking. CV_E_SYSTEM when it cannot be watched; then nothing needs closing.
int cv_watch_start(struct cv_watch *watch, struct cv_loop *loop, int fd, unsigned events,
                   void (*fn)(void *arg, unsigned events), void *arg);
// Changes the wanted events; cheap when they are the same. With 0 not even a hang-up is seen.
// A change costs two system calls: leave READ on, set WRITE only after CV_E_AGAIN.
void cv_watch_set(struct cv_watch *watch, unsigned events);
// True from cv_watch_start to cv_watch_close.
bool cv_watch_is_open(const struct cv_watch *watch);
// Ends it: `fn` is not called any more, the descriptor may be closed right after. The watch's
// memory is the owner's again only in `on_closed` (may be NULL), called once at the end of this
// turn, never inside this function. Afterwards it can be started again. Not for a watch that is not
// open.
void cv_watch_close(struct cv_watch *watch, void (*on_closed)(void *arg), void *arg);

#endif
