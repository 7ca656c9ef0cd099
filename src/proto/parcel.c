#include "proto/parcel.h"

#include "base/check.h"
#include "base/mem.h"

static size_t raw_bytes(struct cv_block *const raw[2])
{
    size_t bytes = 0;
    for (int i = 0; i < 2; i++)
        bytes += raw[i] ? raw[i]->len : 0;
    return bytes;
}

struct cv_parcel *cv_parcel_new(struct cv_block *raw[2], struct cv_chunk_out *out, size_t bytes_max)
{
    size_t first = raw_bytes(raw);
    size_t more = 0;
    size_t room = bytes_max > first ? bytes_max - first : 0;
    uint32_t count = out ? cv_chunk_out_fit(out, room, &more) : 0;
    struct cv_parcel *parcel = cv_mem_alloc(sizeof *parcel + count * sizeof parcel->items[0]);
    if (!parcel)
        return NULL;
    atomic_init(&parcel->refs, 1);
    parcel->count = count;
    parcel->bytes = first + more;
    for (int i = 0; i < 2; i++) {
        parcel->raw[i] = raw[i];
        raw[i] = NULL;
    }
    if (out)
        cv_chunk_out_take(out, parcel->items, count);
    return parcel;
}

// For so many messages; doubled each time, so that adding one by one is cheap.
static size_t room_for(uint32_t count)
{
    size_t room = 8;
    while (room < count)
        room *= 2;
    return sizeof(struct cv_parcel) + room * sizeof(struct cv_chunk_item);
}

int cv_parcel_add(struct cv_parcel **to, const struct cv_parcel *more)
{
    CV_ASSERT(!more->raw[0] && !more->raw[1]);
    uint32_t count = *to ? (*to)->count : 0;
    struct cv_parcel *parcel = cv_mem_resize(*to, room_for(count + more->count));
    if (!parcel)
        return CV_E_NOMEM;
    if (!*to) {
        *parcel = (struct cv_parcel){0};
        atomic_init(&parcel->refs, 1);
    }
    for (uint32_t i = 0; i < more->count; i++) {
        parcel->items[parcel->count] = more->items[i];
        cv_block_ref(parcel->items[parcel->count++].payload);
    }
    parcel->bytes += more->bytes;
    *to = parcel;
    return CV_OK;
}

struct cv_parcel *cv_parcel_ref(struct cv_parcel *parcel)
{
    atomic_fetch_add_explicit(&parcel->refs, 1, memory_order_relaxed);
    return parcel;
}

void cv_parcel_unref(struct cv_parcel **parcel)
{
    struct cv_parcel *mine = *parcel;
    *parcel = NULL;
    if (!mine || atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) > 1)
        return;
    cv_block_unref(&mine->raw[0]);
    cv_block_unref(&mine->raw[1]);
    for (uint32_t i = 0; i < mine->count; i++)
        cv_block_unref(&mine->items[i].payload);
    cv_mem_free(mine);
}

void cv_parcel_pull(const struct cv_parcel *parcel, size_t at, struct cv_gather *gather)
{
    for (int i = 0; i < 2 && parcel->raw[i]; i++) {
        const struct cv_block *raw = parcel->raw[i];
        size_t skip = at < raw->len ? at : raw->len;
        at -= skip;
        if (!cv_gather_borrow(gather, raw->data + skip, raw->len - skip))
            return;
    }
    for (uint32_t i = 0; i < parcel->count; i++) {
        size_t len = cv_chunk_item_bytes(&parcel->items[i]);
        size_t skip = at < len ? at : len;
        at -= skip;
        if (skip < len && !cv_chunk_item_pull(&parcel->items[i], skip, gather))
            return;
    }
}
