#include "proto/http1_date.h"

#include "base/check.h"
#include "base/err.h"

#include <string.h>

enum {
    DAY_S = 86400,
    NAME_CHARS = 3,  // of a day or a month
    YEAR_MIN = 1583, // the first whole one of the Gregorian calendar
    YEAR_MAX = 9999,
    YEARS_AHEAD = 50, // of a year with two digits, at most
};

static const int64_t last_s = INT64_C(253402300799); // 9999-12-31 23:59:59

// 1970 began with a Thursday.
static const char *const days[] = {"Thursday", "Friday",  "Saturday", "Sunday",
                                   "Monday",   "Tuesday", "Wednesday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct date {
    uint32_t year, month, day; // month and day from 1
    uint32_t hour, minute, second;
};

// ---- the calendar ---------------------------------------------------------------------------

static bool is_leap(uint32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static uint32_t days_of_month(uint32_t year, uint32_t month)
{
    static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return lengths[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

// Days from 0000-01-01 to the first of January of the year.
static int64_t days_before_year(uint32_t year)
{
    uint32_t last = year - 1;
    return (int64_t)365 * year + (year ? last / 4 - last / 100 + last / 400 + 1 : 0);
}

static int64_t seconds_of(const struct date *date)
{
    int64_t day = days_before_year(date->year) - days_before_year(1970) + date->day - 1;
    for (uint32_t month = 1; month < date->month; month++)
        day += days_of_month(date->year, month);
    return day * DAY_S + date->hour * 3600 + date->minute * 60 + date->second;
}

// unix_s is between 0 and last_s.
static struct date date_of(int64_t unix_s)
{
    uint32_t in_day = (uint32_t)(unix_s % DAY_S);
    int64_t day = unix_s / DAY_S + days_before_year(1970);
    struct date date = {
        .year = (uint32_t)(day / 366), // never too late
        .month = 1,
        .hour = in_day / 3600,
        .minute = in_day / 60 % 60,
        .second = in_day % 60,
    };
    while (days_before_year(date.year + 1) <= day)
        date.year++;
    day -= days_before_year(date.year);
    while (day >= days_of_month(date.year, date.month))
        day -= days_of_month(date.year, date.month++);
    date.day = (uint32_t)day + 1;
    return date;
}

// ---- writing --------------------------------------------------------------------------------

static void put_number(char *out, size_t digits, uint32_t value)
{
    for (; digits; value /= 10)
        out[--digits] = (char)('0' + value % 10);
}

void cv_http1_date_write(char out[CV_HTTP1_DATE_CHARS + 1], int64_t unix_s)
{
    int64_t inside_s = unix_s < 0 ? 0 : unix_s > last_s ? last_s : unix_s;
    struct date date = date_of(inside_s);
    memcpy(out, "Xxx, 00 Xxx 0000 00:00:00 GMT", CV_HTTP1_DATE_CHARS + 1);
    memcpy(out, days[inside_s / DAY_S % 7], NAME_CHARS);
    put_number(out + 5, 2, date.day);
    memcpy(out + 8, months[date.month - 1], NAME_CHARS);
    put_number(out + 12, 4, date.year);
    put_number(out + 17, 2, date.hour);
    put_number(out + 20, 2, date.minute);
    put_number(out + 23, 2, date.second);
}

// ---- reading --------------------------------------------------------------------------------

// The index of the name whose first three letters these are, or -1.
static int name_index(struct cv_text letters, const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        if (memcmp(letters.at, names[i], NAME_CHARS) == 0)
            return i;
    }
    return -1;
}

static bool read_number(struct cv_text text, uint32_t *out)
{
    uint64_t value;
    bool padded = text.len == 2 && text.at[0] == ' '; // asctime's day
    if (cv_text_u64(cv_text_skip(text, padded), 0, YEAR_MAX, &value) != CV_OK)
        return false;
    *out = (uint32_t)value;
    return true;
}

// What a pattern says of a place: W day of the week, d day, m month, Y year, h hour, i minute, s
// second; anything else stands for itself.
static const char kinds[] = "WdmYhis";

static bool read_part(struct date *date, char kind, struct cv_text part)
{
    switch (kind) {
    case 'W':
        return name_index(part, days, 7) >= 0;
    case 'd':
        return read_number(part, &date->day);
    case 'm':
        date->month = (uint32_t)(name_index(part, months, 12) + 1);
        return date->month > 0;
    case 'Y':
        return read_number(part, &date->year);
    case 'h':
        return read_number(part, &date->hour);
    case 'i':
        return read_number(part, &date->minute);
    case 's':
        return read_number(part, &date->second);
    default:
        return part.at[0] == kind;
    }
}

static bool is_date(const struct date *date)
{
    return date->year >= YEAR_MIN && date->year <= YEAR_MAX && date->month >= 1 && date->day >= 1 &&
           date->day <= days_of_month(date->year, date->month) && date->hour <= 23 &&
           date->minute <= 59 && date->second <= 60;
}

static bool read_pattern(struct cv_text text, const char *pattern, struct date *out)
{
    if (text.len != strlen(pattern))
        return false;
    struct date date = {0};
    for (size_t at = 0, len; at < text.len; at += len) {
        char kind[] = {pattern[at], '\0'};
        len = strchr(kinds, kind[0]) ? strspn(pattern + at, kind) : 1;
        if (!read_part(&date, kind[0], (struct cv_text){text.at + at, len}))
            return false;
    }
    *out = date;
    return true;
}

// RFC 850 writes the day of the week in full: here cut to three letters, so that a pattern fits.
static struct cv_text cut_day_name(struct cv_text text, char out[CV_HTTP1_DATE_CHARS])
{
    size_t comma = cv_text_find(text, ',');
    size_t rest = text.len - comma;
    if (rest > CV_HTTP1_DATE_CHARS - NAME_CHARS)
        return (struct cv_text){0};
    for (int i = 0; i < 7; i++) {
        if (!cv_text_is((struct cv_text){text.at, comma}, days[i]))
            continue;
        memcpy(out, text.at, NAME_CHARS);
        memcpy(out + NAME_CHARS, text.at + comma, rest);
        return (struct cv_text){out, NAME_CHARS + rest};
    }
    return (struct cv_text){0};
}

// The year with these last two digits that is at most 50 years ahead.
static uint32_t whole_year(uint32_t digits, int64_t now_s)
{
    int64_t inside_s = now_s < 0 ? 0 : now_s > last_s ? last_s : now_s;
    uint32_t latest = date_of(inside_s).year + YEARS_AHEAD;
    return latest - (latest - digits) % 100;
}

int cv_http1_date_parse(struct cv_text text, int64_t now_s, int64_t *out_s)
{
    char shortened[CV_HTTP1_DATE_CHARS];
    struct date date;
    bool read = read_pattern(text, "WWW, dd mmm YYYY hh:ii:ss GMT", &date) ||
                read_pattern(text, "WWW mmm dd hh:ii:ss YYYY", &date);
    if (!read) {
        read = read_pattern(cut_day_name(text, shortened), "WWW, dd-mmm-YY hh:ii:ss GMT", &date);
        date.year = read ? whole_year(date.year, now_s) : 0;
    }
    if (!read || !is_date(&date))
        return CV_E_SYNTAX;
    *out_s = seconds_of(&date);
    return CV_OK;
}
