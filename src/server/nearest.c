#include "server/nearest.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

// Words longer than this are compared as if they were not similar at all.
enum { WORD_BYTES_MAX = 48 };

static int least(int a, int b, int c)
{
    int ab = a < b ? a : b;
    return ab < c ? ab : c;
}

// Optimal string alignment: three rows of the classic table are enough.
int cv_edit_distance(const char *a, const char *b)
{
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    if (a_len > WORD_BYTES_MAX || b_len > WORD_BYTES_MAX)
        return strcmp(a, b) == 0 ? 0 : INT_MAX;
    int rows[3][WORD_BYTES_MAX + 1];
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (int)j;
    for (size_t i = 1; i <= a_len; i++) {
        int *now = rows[i % 3];
        const int *above = rows[(i - 1) % 3];
        now[0] = (int)i;
        for (size_t j = 1; j <= b_len; j++) {
            int cost = a[i - 1] == b[j - 1] ? 0 : 1;
            now[j] = least(above[j] + 1, now[j - 1] + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], rows[(i - 2) % 3][j - 2] + 1, INT_MAX);
        }
    }
    return rows[a_len % 3][b_len];
}

struct cv_nearest cv_nearest_to(const char *word)
{
    return (struct cv_nearest){.word = word, .best = NULL, .distance = INT_MAX};
}

void cv_nearest_try(struct cv_nearest *nearest, const char *known)
{
    int distance = cv_edit_distance(nearest->word, known);
    // Near enough: a third of the word may be wrong, and one letter of a short one.
    int bound = (int)strlen(known) / 3 + 1;
    if (distance > bound || distance >= nearest->distance)
        return;
    nearest->best = known;
    nearest->distance = distance;
}
