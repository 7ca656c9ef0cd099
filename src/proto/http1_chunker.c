#include "proto/http1_chunker.h"

#include "base/check.h"
#include "base/err.h"
#include "base/wire.h"
#include "proto/http1_write.h"

static const char crlf[] = "\r\n";
static const char last_chunk[] = "0\r\n\r\n";

enum { TAIL_BYTES = sizeof crlf - 1, LAST_BYTES = sizeof last_chunk - 1 };

// A chunk has begun to leave: it has to be finished first.
static bool mid_chunk(const struct cv_http1_chunker *chunker)
{
    return chunker->head_at > 0;
}

static void forget_chunk(struct cv_http1_chunker *chunker)
{
    chunker->head_len = chunker->head_at = 0;
    chunker->len = chunker->at = 0;
}

// ---- pulling --------------------------------------------------------------------------------

static bool go_on_with_chunk(const struct cv_http1_chunker *chunker, struct cv_gather *gather)
{
    return cv_gather_borrow(gather, chunker->head + chunker->head_at,
                            (size_t)(chunker->head_len - chunker->head_at));
}

static bool begin_new_chunk(struct cv_http1_chunker *chunker, struct cv_gather *gather)
{
    forget_chunk(chunker);
    if (!cv_gather_borrow(gather, crlf + TAIL_BYTES - chunker->tail_left, chunker->tail_left))
        return false;
    chunker->lent_tail = chunker->tail_left;
    if (chunker->ending)
        cv_gather_borrow(gather, last_chunk + LAST_BYTES - chunker->last_left, chunker->last_left);
    else
        chunker->slot = cv_gather_reserve(gather, CV_CHUNK_HEAD_MAX);
    return chunker->slot >= 0;
}

bool cv_http1_chunker_pull_begin(struct cv_http1_chunker *chunker, struct cv_gather *gather)
{
    CV_ASSERT(!chunker->pulling);
    chunker->pulling = true;
    chunker->slot = -1;
    chunker->lent_tail = 0;
    bool mid = mid_chunk(chunker);
    bool inner = mid ? go_on_with_chunk(chunker, gather) : begin_new_chunk(chunker, gather);
    chunker->before = gather->bytes;
    return inner;
}

static void write_head(struct cv_http1_chunker *chunker, size_t len)
{
    struct cv_wr wr = cv_wr_fixed(chunker->head, sizeof chunker->head);
    cv_http1_write_chunk_head(&wr, len);
    CV_ASSERT(wr.err == CV_OK);
    chunker->head_len = (uint8_t)wr.len;
    chunker->len = len;
}

void cv_http1_chunker_pull_end(struct cv_http1_chunker *chunker, struct cv_gather *gather)
{
    CV_ASSERT(chunker->pulling && gather->bytes >= chunker->before);
    chunker->pulling = false;
    size_t data = gather->bytes - chunker->before;
    if (chunker->slot >= 0 && data == 0) {
        cv_gather_cut(gather, chunker->before - CV_CHUNK_HEAD_MAX);
    } else if (chunker->slot >= 0) {
        write_head(chunker, data);
        cv_gather_fill(gather, chunker->slot, chunker->head, chunker->head_len);
    }
    size_t left = chunker->len - chunker->at;
    if (data > left)
        cv_gather_cut(gather, chunker->before + left);
    // Without room it goes before the next chunk.
    if (chunker->len && data >= left)
        cv_gather_borrow(gather, crlf, TAIL_BYTES);
}

// ---- sent -----------------------------------------------------------------------------------

// Takes what left of `lent` off *len.
static size_t take(size_t *len, size_t lent)
{
    size_t n = *len < lent ? *len : lent;
    *len -= n;
    return n;
}

static void sent_tail(struct cv_http1_chunker *chunker, size_t *len, size_t lent)
{
    chunker->tail_left = (uint8_t)(chunker->tail_left - take(len, lent));
}

size_t cv_http1_chunker_sent(struct cv_http1_chunker *chunker, size_t len)
{
    sent_tail(chunker, &len, chunker->lent_tail);
    chunker->lent_tail = 0;
    size_t head_left = (size_t)(chunker->head_len - chunker->head_at);
    chunker->head_at = (uint8_t)(chunker->head_at + take(&len, head_left));
    size_t inner = take(&len, chunker->len - chunker->at);
    chunker->at += inner;
    if (chunker->len && chunker->at == chunker->len) {
        forget_chunk(chunker);
        chunker->tail_left = TAIL_BYTES;
        sent_tail(chunker, &len, TAIL_BYTES);
    }
    if (chunker->ending)
        chunker->last_left = (uint8_t)(chunker->last_left - take(&len, chunker->last_left));
    CV_ASSERT(len == 0);
    return inner;
}

void cv_http1_chunker_end(struct cv_http1_chunker *chunker)
{
    if (chunker->ending)
        return;
    chunker->ending = true;
    chunker->last_left = LAST_BYTES;
}

bool cv_http1_chunker_out_empty(const struct cv_http1_chunker *chunker)
{
    return !mid_chunk(chunker) && !chunker->tail_left && !chunker->last_left;
}
