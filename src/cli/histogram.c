#include "cli/histogram.h"

#include "base/check.h"

enum { STEP_BITS = 5 };

static unsigned slot_of(uint64_t value)
{
    if (value > UINT32_MAX)
        value = UINT32_MAX;
    if (value < CV_HISTOGRAM_STEPS)
        return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - STEP_BITS;
    return (shift + 1) * CV_HISTOGRAM_STEPS + (unsigned)(value >> shift) % CV_HISTOGRAM_STEPS;
}

// The largest value that falls into the slot.
static uint64_t top_of(unsigned slot)
{
    if (slot < CV_HISTOGRAM_STEPS)
        return slot;
    unsigned shift = slot / CV_HISTOGRAM_STEPS - 1;
    uint64_t step = CV_HISTOGRAM_STEPS + slot % CV_HISTOGRAM_STEPS;
    return ((step + 1) << shift) - 1;
}

void cv_histogram_add(struct cv_histogram *histogram, uint64_t value)
{
    unsigned slot = slot_of(value);
    CV_ASSERT(slot < CV_HISTOGRAM_SLOTS);
    histogram->slots[slot]++;
    histogram->count++;
    if (value > histogram->max)
        histogram->max = value;
}

uint64_t cv_histogram_at(const struct cv_histogram *histogram, double percent)
{
    uint64_t wanted = (uint64_t)((double)histogram->count * percent / 100 + 0.9999);
    uint64_t seen = 0;
    for (unsigned slot = 0; slot < CV_HISTOGRAM_SLOTS; slot++) {
        seen += histogram->slots[slot];
        if (seen > 0 && seen >= wanted)
            return top_of(slot) < histogram->max ? top_of(slot) : histogram->max;
    }
    return histogram->max;
}
