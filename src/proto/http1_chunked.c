#include "proto/http1_chunked.h"

#include "base/check.h"
#include "base/limits.h"

enum state {
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, // the start of a line
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    DONE,
};

enum { DIGITS_MAX = 15 }; // 60 bits: sums of sizes cannot overflow soon

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Goes to `next` if the byte is the one that must stand here.
static const char *must_be(struct cv_chunked *chunked, char c, char wanted, enum state next)
{
    if (c != wanted)
        return "chunked: a line does not end in CR LF";
    chunked->state = (int)next;
    return NULL;
}

static const char *take_size(struct cv_chunked *chunked, char c)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        chunked->left = chunked->left << 4 | (uint64_t)digit;
        return ++chunked->digits > DIGITS_MAX ? "chunked: size is too long" : NULL;
    }
    if (chunked->digits == 0 || (c != ';' && c != '\r'))
        return "chunked: malformed size";
    chunked->state = c == ';' ? EXTENSION : SIZE_LF;
    return NULL;
}

// A byte of text that is dropped; a CR ends it.
static const char *take_text(struct cv_chunked *chunked, char c, enum state end)
{
    if (c == '\r')
        chunked->state = (int)end;
    else if (!cv_http1_value_char(c))
        return "chunked: control character";
    return NULL;
}

static const char *take_trailer(struct cv_chunked *chunked, char c)
{
    if (c == '\r' && chunked->state == TRAILER)
        chunked->state = LAST_LF;
    else if (c == ':' && chunked->state == TRAILER_NAME)
        chunked->state = TRAILER_VALUE;
    else if (cv_http1_token_char(c))
        chunked->state = TRAILER_NAME;
    else
        return "chunked: malformed trailer";
    return NULL;
}

// One byte that is not data. NULL, or what is wrong with it.
static const char *take_byte(struct cv_chunked *chunked, char c)
{
    switch ((enum state)chunked->state) {
    case SIZE:
        return take_size(chunked, c);
    case EXTENSION:
        return take_text(chunked, c, SIZE_LF);
    case SIZE_LF:
        return must_be(chunked, c, '\n', chunked->left ? DATA : TRAILER);
    case DATA_CR:
        return must_be(chunked, c, '\r', DATA_LF);
    case DATA_LF:
        chunked->digits = 0;
        chunked->extra = 0;
        return must_be(chunked, c, '\n', SIZE);
    case TRAILER:
    case TRAILER_NAME:
        return take_trailer(chunked, c);
    case TRAILER_VALUE:
        return take_text(chunked, c, TRAILER_LF);
    case TRAILER_LF:
        return must_be(chunked, c, '\n', TRAILER);
    case LAST_LF:
        return must_be(chunked, c, '\n', DONE);
    case DATA:
    case DONE:
        break;
    }
    CV_UNREACHABLE();
}

// Counts what is read and dropped.
static struct cv_http1_wrong count_extra(struct cv_chunked *chunked)
{
    bool trailer = chunked->state >= TRAILER;
    uint32_t max = trailer ? CV_LIMIT_HTTP_TRAILER_BYTES : CV_LIMIT_HTTP_CHUNK_EXT_BYTES;
    chunked->extra += trailer || chunked->state == EXTENSION;
    if (chunked->extra <= max)
        return (struct cv_http1_wrong){0, NULL};
    return (struct cv_http1_wrong){trailer ? 431 : 400, "chunked: extensions or trailers too long"};
}

static struct cv_text take_data(struct cv_chunked *chunked, struct cv_rd *in)
{
    size_t len = cv_rd_left(in);
    if (len > chunked->left)
        len = (size_t)chunked->left;
    chunked->left -= len;
    if (chunked->left == 0)
        chunked->state = DATA_CR;
    return (struct cv_text){(const char *)cv_rd_bytes(in, len), len};
}

enum cv_chunked_step cv_chunked_next(struct cv_chunked *chunked, struct cv_rd *in,
                                     struct cv_text *out_data, struct cv_http1_wrong *out_wrong)
{
    while (chunked->state != DONE && cv_rd_left(in)) {
        if (chunked->state == DATA) {
            *out_data = take_data(chunked, in);
            return CV_CHUNKED_DATA;
        }
        struct cv_http1_wrong wrong = count_extra(chunked);
        bool was_size = chunked->state == SIZE_LF;
        const char *text = take_byte(chunked, (char)cv_rd_u8(in));
        if (text)
            wrong = (struct cv_http1_wrong){400, text};
        if (wrong.status) {
            *out_wrong = wrong;
            return CV_CHUNKED_WRONG;
        }
        if (was_size)
            return CV_CHUNKED_SIZE;
    }
    return chunked->state == DONE ? CV_CHUNKED_END : CV_CHUNKED_MORE;
}
