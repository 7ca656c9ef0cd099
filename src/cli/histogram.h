// A histogram of durations: exact below 32, then to one part in 32, up to 2^32 - 1.
#ifndef CV_CLI_HISTOGRAM_H
#define CV_CLI_HISTOGRAM_H

#include <stdint.h>

enum {
    CV_HISTOGRAM_STEPS = 32, // per power of two
    CV_HISTOGRAM_SLOTS = 28 * CV_HISTOGRAM_STEPS,
};

// Zeroed at first. Any unit; larger values count as the largest.
struct cv_histogram {
    uint64_t slots[CV_HISTOGRAM_SLOTS];
    uint64_t count;
    uint64_t max;
};

void cv_histogram_add(struct cv_histogram *histogram, uint64_t value);
// The value that `percent` (0 to 100) of all values do not exceed, to one part in 32 upwards, never
// above the largest; 0 when there are none.
uint64_t cv_histogram_at(const struct cv_histogram *histogram, double percent);

#endif
