#include "server/note.h"

#include "base/check.h"
#include "base/mem.h"

enum { FIRST_ITEMS = 8 };

static size_t batch_size(uint32_t capacity)
{
    return sizeof(struct cv_batch) + capacity * sizeof(struct cv_batch_item);
}

struct cv_batch *cv_batch_new(const struct cv_path *path, const struct cv_publisher_id *publisher)
{
    struct cv_batch *batch = cv_mem_alloc(batch_size(FIRST_ITEMS));
    if (!batch)
        return NULL;
    batch->mail.deliver = NULL;
    batch->publisher = publisher ? *publisher : (struct cv_publisher_id){0};
    batch->outlet_id = 0;
    batch->started = false;
    batch->path = *path;
    batch->bytes = 0;
    batch->count = 0;
    batch->capacity = FIRST_ITEMS;
    return batch;
}

int cv_batch_add(struct cv_batch **batch, const struct cv_msg *msg, uint64_t number)
{
    if ((*batch)->count == CV_BATCH_ITEMS_MAX)
        return CV_E_QUEUE_FULL;
    if ((*batch)->count == (*batch)->capacity) {
        uint32_t capacity = (*batch)->capacity * 2;
        struct cv_batch *moved = cv_mem_resize(*batch, batch_size(capacity));
        if (!moved)
            return CV_E_NOMEM;
        moved->capacity = capacity;
        *batch = moved;
    }
    (*batch)->items[(*batch)->count++] =
        (struct cv_batch_item){.payload = cv_block_ref(msg->payload),
                               .number = number,
                               .ts_ms = msg->ts_ms,
                               .type = msg->type};
    (*batch)->bytes += msg->payload->len;
    return CV_OK;
}

static void empty(struct cv_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++)
        cv_block_unref(&batch->items[i].payload);
    batch->count = 0;
    batch->bytes = 0;
}

void cv_batch_clear(struct cv_batch **batch)
{
    if ((*batch)->capacity > FIRST_ITEMS)
        cv_batch_free(batch);
    else
        empty(*batch);
}

void cv_batch_free(struct cv_batch **batch)
{
    struct cv_batch *gone = *batch;
    *batch = NULL;
    if (!gone)
        return;
    empty(gone);
    cv_mem_free(gone);
}

static void moved_free(struct cv_moved *moved)
{
    if (!moved)
        return;
    cv_channel_ends_free(&moved->ends);
    cv_block_unref(&moved->bytes);
    cv_mem_free(moved);
}

void cv_note_free(struct cv_note *note)
{
    if (!note)
        return;
    cv_policy_unref(&note->policy);
    moved_free(note->moved);
    cv_mem_free(note);
}
