#include "base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

struct err_row {
    int code;
    enum cv_err_class class;
    const char *name;
    const char *text;
};

static const struct err_row err_rows[] = {
    {CV_OK, CV_CLASS_NONE, "OK", "no error"},
#define CV_ERR(name, value, class, text) {CV_E_##name, CV_CLASS_##class, #name, text},
#include "base/err_table.h"
#undef CV_ERR
};

static const struct err_row unknown_row = {0, CV_CLASS_BUG, "UNKNOWN", "unknown error"};

static const struct err_row *err_find(int code)
{
    for (size_t i = 0; i < sizeof err_rows / sizeof err_rows[0]; i++) {
        if (err_rows[i].code == code)
            return &err_rows[i];
    }
    return &unknown_row;
}

const char *cv_err_name(int code)
{
    return err_find(code)->name;
}

const char *cv_err_text(int code)
{
    return err_find(code)->text;
}

enum cv_err_class cv_err_class(int code)
{
    return err_find(code)->class;
}

static void make_printable(char *text)
{
    for (; *text; text++) {
        if (*text < 0x20 || *text > 0x7e)
            *text = '?';
    }
}

int cv_why_set(struct cv_why *why, int code, const char *place, const char *format, ...)
{
    if (why == NULL || why->code != CV_OK)
        return code;
    why->code = code;
    why->place = place;
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    make_printable(why->text);
    return code;
}
