// Threads and what the process costs. Thin.
#ifndef CV_IO_THREAD_H
#define CV_IO_THREAD_H

#include <stdint.h>

struct cv_thread;

// Starts `fn(arg)` on a thread of that name (15 letters show). The caller owns *out and must join.
// CV_E_NOMEM or CV_E_SYSTEM.
int cv_thread_start(struct cv_thread **out, const char *name, void (*fn)(void *arg), void *arg);
// Waits for its end and frees; *thread is cleared. NULL inside is allowed.
void cv_thread_join(struct cv_thread **thread);

// Processors this process may use, at least 1.
unsigned cv_cpu_count(void);
// Ties the calling thread to the n-th processor it may use (modulo their count): 0 or CV_E_SYSTEM.
int cv_thread_pin(unsigned n);
// Ties it to several of them: bit n is the n-th. CV_E_SYSTEM: there is none of them.
int cv_thread_pin_set(uint64_t set);
// Processor time of the calling thread, of the process; user and system.
uint64_t cv_thread_cpu_us(void);
uint64_t cv_process_cpu_us(void);
// Resident memory now; 0 when unknown.
uint64_t cv_process_rss_bytes(void);
// Raises the limit of open descriptors as far as allowed and returns it.
uint64_t cv_process_raise_descriptors(void);

#endif
