// Any bytes into the receiving half of the chunk stream; what comes out is sent again by the other
// half, in pieces, and read once more.
//
// Input: byte 0 picks the limit of media; bytes 1..4 are the sizes of the pieces, used in turn, in
// and out; the rest is the chunk stream. Read in pieces it must give what it gives in one go; sent
// again it must give the same messages.
#include "fuzz_kit.h"

#include "base/limits.h"
#include "proto/chunk_in.h"
#include "proto/chunk_out.h"

enum { SIZES = 4, HEAD_BYTES = 1 + SIZES };

static struct cv_gather gather;

// Over all messages.
struct sum {
    uint64_t hash;
    uint32_t messages;
};

static void sum_message(struct sum *sum, const struct cv_msg *msg)
{
    sum_bytes(&sum->hash, &msg->type, sizeof msg->type);
    sum_bytes(&sum->hash, &msg->ts_ms, sizeof msg->ts_ms);
    sum_bytes(&sum->hash, &msg->stream_id, sizeof msg->stream_id);
    sum_bytes(&sum->hash, &msg->payload->len, sizeof msg->payload->len);
    sum_bytes(&sum->hash, msg->payload->data, msg->payload->len);
    sum->messages++;
}

// ---- reading --------------------------------------------------------------------------------

struct reader {
    struct cv_chunk_in in;
    struct sum sum;
    size_t fed;
    int result;
    struct cv_chunk_out *out; // where messages are sent on to; may be NULL
};

// 0, or CV_E_CHUNK_SIZE, then the message must not be sent on.
static int obey(struct cv_chunk_in *in, const struct cv_msg *msg)
{
    struct cv_rd rd = cv_rd_over(msg->payload->data, msg->payload->len);
    uint32_t value = cv_rd_u32(&rd);
    if (msg->type == CV_MSG_SET_CHUNK_SIZE)
        return cv_chunk_in_set_size(in, value);
    if (msg->type == CV_MSG_ABORT)
        cv_chunk_in_abort(in, value);
    return CV_OK;
}

static void send_on(struct cv_chunk_out *out, const struct cv_msg *msg)
{
    struct cv_rd rd = cv_rd_over(msg->payload->data, msg->payload->len);
    // The sender's sizes are its own: never above what a chunk may have.
    if (msg->type == CV_MSG_SET_CHUNK_SIZE && cv_rd_u32(&rd) > CV_LIMIT_CHUNK_BYTES)
        return;
    enum cv_csid csid = msg->type <= 6 ? CV_CSID_CONTROL : CV_CSID_VIDEO;
    int err = cv_chunk_out_push(out, msg, csid);
    must(err == CV_OK || err == CV_E_QUEUE_FULL);
}

// At most twice what has come, and a little for each chunk stream.
static void check_memory(const struct reader *reader)
{
    size_t capacity = 0;
    size_t partial = 0;
    must(reader->in.count <= CV_LIMIT_CHUNK_STREAMS);
    for (uint32_t i = 0; i < reader->in.count; i++) {
        const struct cv_block *block = reader->in.contexts[i].partial;
        capacity += block ? block->capacity : 0;
        partial += block ? block->len : 0;
    }
    must(capacity <= 2 * reader->fed + (size_t)reader->in.count * 1024);
    must(partial == reader->in.partial_bytes);
}

static void feed(struct reader *reader, const uint8_t *data, size_t len)
{
    // A copy of its own, so that a read past the piece is seen.
    uint8_t *piece = malloc(len ? len : 1);
    must(piece != NULL);
    if (len)
        memcpy(piece, data, len);
    struct cv_rd rd = cv_rd_over(piece, len);
    struct cv_why why = {0};
    struct cv_msg msg;
    reader->fed += len;
    while (reader->result == CV_OK) {
        int more = cv_chunk_in_next(&reader->in, &rd, &msg, &why);
        must(more >= 0 ? why.code == CV_OK : why.code == more);
        check_memory(reader);
        if (more <= 0) {
            reader->result = more;
            break;
        }
        reader->result = obey(&reader->in, &msg);
        if (reader->result == CV_OK)
            sum_message(&reader->sum, &msg);
        if (reader->result == CV_OK && reader->out)
            send_on(reader->out, &msg);
        cv_block_unref(&msg.payload);
    }
    must(reader->result != CV_OK || cv_rd_left(&rd) == 0);
    free(piece);
}

static size_t piece_len(const uint8_t *sizes, size_t n, size_t left)
{
    size_t unit = sizes[n % SIZES];
    size_t len = 1 + unit * unit / 16;
    return len < left ? len : left;
}

// ---- sending again --------------------------------------------------------------------------

static void read_again(struct cv_chunk_out *out, const uint8_t *sizes, struct reader *again)
{
    for (size_t n = 0; !cv_chunk_out_empty(out); n++) {
        cv_gather_clear(&gather);
        cv_chunk_out_pull(out, &gather);
        must(gather.bytes > 0);
        size_t len = piece_len(sizes, n, gather.bytes);
        size_t left = len;
        for (int i = 0; i < gather.count && left > 0; i++) {
            size_t part = gather.vectors[i].iov_len < left ? gather.vectors[i].iov_len : left;
            feed(again, gather.vectors[i].iov_base, part);
            left -= part;
        }
        must(cv_chunk_out_sent(out, len) == 0);
    }
    must(out->bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES)
        return 0;
    uint32_t media_max = 1u << (8 + data[0] % 16);
    struct cv_chunk_out out;
    struct reader whole = {.result = CV_OK};
    struct reader pieces = {.out = &out};
    struct reader again = {.result = CV_OK};
    cv_chunk_out_init(&out, CV_LIMIT_OUT_BYTES);
    cv_chunk_in_init(&whole.in, media_max);
    cv_chunk_in_init(&pieces.in, media_max);
    cv_chunk_in_init(&again.in, media_max);
    feed(&whole, data + HEAD_BYTES, size - HEAD_BYTES);
    for (size_t at = HEAD_BYTES, n = 0; at < size; n++) {
        size_t len = piece_len(data + 1, n, size - at);
        feed(&pieces, data + at, len);
        at += len;
    }
    must(whole.result == pieces.result);
    must(whole.sum.messages == pieces.sum.messages && whole.sum.hash == pieces.sum.hash);
    uint32_t sent = out.count;
    read_again(&out, data + 1, &again);
    must(again.result == CV_OK && again.sum.messages == sent);
    must(sent < pieces.sum.messages || again.sum.hash == pieces.sum.hash);
    cv_chunk_in_done(&whole.in);
    cv_chunk_in_done(&pieces.in);
    cv_chunk_in_done(&again.in);
    cv_chunk_out_done(&out);
    return 0;
}
