// AMF0: decodes anything, walks it, writes it again, and decodes what was written.
#include "base/check.h"
#include "base/limits.h"
#include "base/wire.h"
#include "proto/amf0.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Touches the ends of every lent text, and returns how many values there are.
static size_t walk(const struct cv_amf *list, unsigned depth)
{
    static volatile unsigned touched;
    size_t count = 0;
    CV_ASSERT(!list || depth <= CV_LIMIT_AMF_DEPTH);
    for (; list; list = list->next) {
        const struct cv_text texts[] = {list->text, list->class_name, list->key};
        for (size_t i = 0; i < 3; i++) {
            if (texts[i].len > 0)
                touched =
                    touched + (uint8_t)texts[i].at[0] + (uint8_t)texts[i].at[texts[i].len - 1];
        }
        (void)cv_amf_u32(list, 0);
        (void)cv_amf_boolean(cv_amf_get(list, "app"), false);
        count += 1 + walk(list->first, depth + 1);
    }
    return count;
}

// What was written from a whole document must read as the same number of values at the top.
static void again(const struct cv_amf *first)
{
    struct cv_wr wr = cv_wr_growing(CV_LIMIT_COMMAND_BYTES);
    size_t values = 0;
    for (const struct cv_amf *value = first; value; value = value->next, values++)
        cv_amf0_value(&wr, value);
    CV_ASSERT(wr.err == CV_OK || wr.err == CV_E_TOO_LONG);
    struct cv_block *block = cv_wr_take(&wr);
    if (!block)
        return;
    struct cv_amf_doc *doc = cv_amf_doc_new();
    int code = cv_amf0_decode(doc, block->data, block->len, NULL);
    CV_ASSERT(code == CV_OK || code == CV_E_TOO_MANY);
    for (const struct cv_amf *value = cv_amf_doc_first(doc); value; value = value->next)
        values--;
    CV_ASSERT(code != CV_OK || values == 0);
    cv_amf_doc_free(doc);
    cv_block_unref(&block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_amf_doc *doc = cv_amf_doc_new();
    struct cv_why why = {0};
    int code = cv_amf0_decode(doc, data, size, &why);
    CV_ASSERT(code == why.code);
    CV_ASSERT(walk(cv_amf_doc_first(doc), 0) <= CV_LIMIT_AMF_NODES);
    again(cv_amf_doc_first(doc));
    cv_amf_doc_free(doc);
    return 0;
}
