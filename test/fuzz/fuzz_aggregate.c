// Aggregate messages. First four bytes: the aggregate's time; the rest is its payload. What came
// out must come out again after being written.
#include "base/check.h"
#include "base/limits.h"
#include "proto/aggregate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static volatile uint8_t sink;

static uint32_t walk_all(struct cv_aggregate *walk, struct cv_wr *copy)
{
    struct cv_aggregate_item item;
    uint32_t sum = 0;
    int got;
    while ((got = cv_aggregate_next(walk, &item)) > 0) {
        if (item.len)
            sink = item.data[item.len - 1];
        sum = ((sum * 31 + item.type) * 31 + item.ts_ms) * 31 + item.len;
        cv_aggregate_add(copy, item.type, item.ts_ms, item.data, item.len);
    }
    CV_ASSERT(walk->why.code == got && walk->count <= CV_LIMIT_AGGREGATE_MESSAGES);
    CV_ASSERT(cv_aggregate_next(walk, &item) == got);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cv_rd rd = cv_rd_over(data, len);
    uint32_t ts_ms = cv_rd_u32(&rd);
    struct cv_aggregate walk = cv_aggregate_over(ts_ms, rd.at, cv_rd_left(&rd));
    struct cv_wr copy = cv_wr_growing(len + 64); // a last back pointer may have been missing
    uint32_t sum = walk_all(&walk, &copy);
    struct cv_block *block = cv_wr_take(&copy);
    CV_ASSERT(block);
    struct cv_wr other = cv_wr_growing(len + 64);
    struct cv_aggregate again = cv_aggregate_over(ts_ms, block->data, block->len);
    CV_ASSERT(walk_all(&again, &other) == sum && again.why.code == CV_OK);
    CV_ASSERT(again.count == walk.count);
    cv_wr_done(&other);
    cv_block_unref(&block);
    return 0;
}
