#include "io/wheel.h"

#include "base/check.h"

static void link_init(struct cv_wheel_link *list)
{
    list->next = list->prev = list;
}

static bool link_is_empty(const struct cv_wheel_link *list)
{
    return list->next == list;
}

static void link_append(struct cv_wheel_link *list, struct cv_wheel_link *link)
{
    link->next = list;
    link->prev = list->prev;
    list->prev->next = link;
    list->prev = link;
}

static void link_remove(struct cv_wheel_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

static struct cv_wheel_node *node_of(struct cv_wheel_link *link)
{
    return (struct cv_wheel_node *)((char *)link - offsetof(struct cv_wheel_node, link));
}

void cv_wheel_init(struct cv_wheel *wheel, uint64_t tick)
{
    CV_ASSERT(tick < CV_WHEEL_TICK_MAX);
    wheel->tick = tick;
    wheel->count = 0;
    link_init(&wheel->due);
    for (unsigned level = 0; level < CV_WHEEL_LEVELS; level++) {
        wheel->used[level] = 0;
        for (unsigned slot = 0; slot < CV_WHEEL_SLOTS; slot++)
            link_init(&wheel->slots[level][slot]);
    }
}

static unsigned digit_of(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> level * CV_WHEEL_DIGIT_BITS) % CV_WHEEL_SLOTS;
}

// The highest digit in which two ticks, which are not equal, differ.
static unsigned level_of(uint64_t a, uint64_t b)
{
    return (63 - (unsigned)__builtin_clzll(a ^ b)) / CV_WHEEL_DIGIT_BITS;
}

// Links the node where it belongs at the present tick.
static void wheel_place(struct cv_wheel *wheel, struct cv_wheel_node *node)
{
    if (node->deadline <= wheel->tick) {
        node->level = CV_WHEEL_LEVELS;
        link_append(&wheel->due, &node->link);
        return;
    }
    unsigned level = level_of(node->deadline, wheel->tick);
    unsigned slot = digit_of(node->deadline, level);
    node->level = (uint8_t)level;
    node->slot = (uint8_t)slot;
    wheel->used[level] |= UINT64_C(1) << slot;
    link_append(&wheel->slots[level][slot], &node->link);
}

void cv_wheel_start(struct cv_wheel *wheel, struct cv_wheel_node *node, uint64_t deadline)
{
    CV_ASSERT(!cv_wheel_is_set(node));
    if (deadline > CV_WHEEL_TICK_MAX)
        deadline = CV_WHEEL_TICK_MAX;
    node->deadline = deadline > wheel->tick ? deadline : wheel->tick + 1;
    wheel_place(wheel, node);
    wheel->count++;
}

void cv_wheel_stop(struct cv_wheel *wheel, struct cv_wheel_node *node)
{
    if (!cv_wheel_is_set(node))
        return;
    CV_ASSERT(wheel->count > 0);
    link_remove(&node->link);
    wheel->count--;
    if (node->level < CV_WHEEL_LEVELS && link_is_empty(&wheel->slots[node->level][node->slot]))
        wheel->used[node->level] &= ~(UINT64_C(1) << node->slot);
}

// The tick at which the first slot in use is entered. Lower levels come first: their slots lie
// within the present slot of the level above.
static uint64_t first_event(const struct cv_wheel *wheel)
{
    for (unsigned level = 0; level < CV_WHEEL_LEVELS; level++) {
        if (!wheel->used[level])
            continue;
        unsigned shift = level * CV_WHEEL_DIGIT_BITS;
        uint64_t slot = (uint64_t)__builtin_ctzll(wheel->used[level]);
        uint64_t above = wheel->tick >> shift >> CV_WHEEL_DIGIT_BITS;
        return (above << CV_WHEEL_DIGIT_BITS | slot) << shift;
    }
    return CV_WHEEL_NEVER;
}

// Enters the slot of `level` that begins at the present tick: its nodes sink or become due.
static void enter_slot(struct cv_wheel *wheel, unsigned level)
{
    unsigned slot = digit_of(wheel->tick, level);
    struct cv_wheel_link *list = &wheel->slots[level][slot];
    wheel->used[level] &= ~(UINT64_C(1) << slot);
    while (!link_is_empty(list)) {
        struct cv_wheel_link *link = list->next;
        link_remove(link);
        wheel_place(wheel, node_of(link));
    }
}

void cv_wheel_advance(struct cv_wheel *wheel, uint64_t tick)
{
    CV_ASSERT(tick <= CV_WHEEL_TICK_MAX);
    for (;;) {
        uint64_t event = first_event(wheel);
        if (event > tick)
            break;
        unsigned level = level_of(event, wheel->tick);
        wheel->tick = event;
        enter_slot(wheel, level);
    }
    if (tick > wheel->tick)
        wheel->tick = tick;
}

struct cv_wheel_node *cv_wheel_pop(struct cv_wheel *wheel)
{
    if (link_is_empty(&wheel->due))
        return NULL;
    struct cv_wheel_node *node = node_of(wheel->due.next);
    cv_wheel_stop(wheel, node);
    return node;
}

uint64_t cv_wheel_next(const struct cv_wheel *wheel)
{
    return link_is_empty(&wheel->due) ? first_event(wheel) : wheel->tick;
}

// ---- validation -----------------------------------------------------------------------------

static bool list_is_sound(const struct cv_wheel_link *list, size_t *count)
{
    const struct cv_wheel_link *link = list;
    do {
        if (!link->next || link->next->prev != link)
            return false;
        link = link->next;
        *count += link != list;
    } while (link != list);
    return true;
}

static bool slot_is_sound(const struct cv_wheel *wheel, unsigned level, unsigned slot)
{
    const struct cv_wheel_link *list = &wheel->slots[level][slot];
    bool used = wheel->used[level] >> slot & 1;
    if (used == link_is_empty(list) || (used && slot <= digit_of(wheel->tick, level)))
        return false;
    for (struct cv_wheel_link *link = list->next; link != list; link = link->next) {
        const struct cv_wheel_node *node = node_of(link);
        if (node->level != level || node->slot != slot || node->deadline <= wheel->tick ||
            digit_of(node->deadline, level) != slot ||
            level_of(node->deadline, wheel->tick) != level)
            return false;
    }
    return true;
}

bool cv_wheel_validate(const struct cv_wheel *wheel)
{
    size_t count = 0;
    if (!list_is_sound(&wheel->due, &count))
        return false;
    for (unsigned level = 0; level < CV_WHEEL_LEVELS; level++) {
        for (unsigned slot = 0; slot < CV_WHEEL_SLOTS; slot++) {
            if (!list_is_sound(&wheel->slots[level][slot], &count) ||
                !slot_is_sound(wheel, level, slot))
                return false;
        }
    }
    return count == wheel->count;
}
