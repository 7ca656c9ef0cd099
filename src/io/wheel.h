// Timer wheel: start and stop in constant time, expiry in order of deadlines. Pure: time is a
// parameter, in ticks; the loop's tick is one millisecond.
//
// Eight levels of 64 slots. A node lives at the level of the highest 6-bit digit in which its
// deadline differs from the wheel's present tick, in the slot of that digit; when time enters the
// slot, its nodes sink to lower levels. At each level only slots ahead of the present digit are in
// use, so that the next event is the first set bit of the lowest level that has one.
#ifndef CV_IO_WHEEL_H
#define CV_IO_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CV_WHEEL_DIGIT_BITS = 6,
    CV_WHEEL_SLOTS = 1 << CV_WHEEL_DIGIT_BITS,
    CV_WHEEL_LEVELS = 8,
};
// The last tick there is: 48 bits of milliseconds, 8900 years. Later deadlines mean this one.
#define CV_WHEEL_TICK_MAX ((UINT64_C(1) << CV_WHEEL_DIGIT_BITS * CV_WHEEL_LEVELS) - 1)
// What cv_wheel_next says when nothing is set.
#define CV_WHEEL_NEVER UINT64_MAX

struct cv_wheel_link {
    struct cv_wheel_link *next;
    struct cv_wheel_link *prev;
};

// Embedded in its owner, zeroed at first. All members are the wheel's.
struct cv_wheel_node {
    struct cv_wheel_link link; // next is NULL while the node is not set
    uint64_t deadline;
    uint8_t level; // CV_WHEEL_LEVELS while the node is in the list of those due
    uint8_t slot;
};

struct cv_wheel {
    uint64_t tick;                  // everything up to here is due or was handed out
    size_t count;                   // nodes set, those due included
    uint64_t used[CV_WHEEL_LEVELS]; // bit s: slot s is not empty
    struct cv_wheel_link slots[CV_WHEEL_LEVELS][CV_WHEEL_SLOTS];
    struct cv_wheel_link due;
};

void cv_wheel_init(struct cv_wheel *wheel, uint64_t tick);
// Sets the node, which must not be set, to expire when the wheel reaches `deadline`. A deadline
// that is not in the future means the next tick: a node never expires in the pass that set it.
void cv_wheel_start(struct cv_wheel *wheel, struct cv_wheel_node *node, uint64_t deadline);
// Takes the node out, also one that is due already. Nothing happens when it is not set.
void cv_wheel_stop(struct cv_wheel *wheel, struct cv_wheel_node *node);
static inline bool cv_wheel_is_set(const struct cv_wheel_node *node)
{
    return node->link.next != NULL;
}
// Moves time forward (back is ignored); what expires is due afterwards.
void cv_wheel_advance(struct cv_wheel *wheel, uint64_t tick);
// Hands out one node that is due, no longer set; NULL when there is none. Order: by deadline, equal
// deadlines in the order they were started.
struct cv_wheel_node *cv_wheel_pop(struct cv_wheel *wheel);
// The tick at which cv_wheel_advance is wanted next: never after the first deadline, perhaps before
// it (nodes must sink). CV_WHEEL_NEVER when nothing is set.
uint64_t cv_wheel_next(const struct cv_wheel *wheel);
// Tests: true when every promise about the wheel's inside holds. Walks over all nodes.
bool cv_wheel_validate(const struct cv_wheel *wheel);

#endif
