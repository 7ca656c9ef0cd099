// The clocks of the machine. Engines never read them: time is a parameter there.
#ifndef CV_IO_CLOCK_H
#define CV_IO_CLOCK_H

#include <stdint.h>

// Monotonic time in microseconds, read now. Inside a loop prefer cv_loop_now_us, which is cached.
uint64_t cv_clock_now_us(void);
// Milliseconds since 1970, UTC; for logs, file names and tokens only: it may jump.
uint64_t cv_clock_wall_ms(void);

#endif
