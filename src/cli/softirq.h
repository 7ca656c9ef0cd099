// What the kernel's own thread of a processor has worked, ksoftirqd/N: when much is sent at once,
// it takes over part of the sending, which then is in nobody's own processor time.
#ifndef CV_CLI_SOFTIRQ_H
#define CV_CLI_SOFTIRQ_H

#include <stdint.h>

// In microseconds since the machine's start; 0 when it cannot be seen from here.
uint64_t cv_softirq_us(unsigned cpu);

#endif
