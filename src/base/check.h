// Assertions for our own promises. Never for peer input: that is an error, not a bug.
//
// CV_ASSERT is always on: a broken promise ends the process with the place.
// CV_DASSERT is for checks too slow for release builds.
// CV_UNREACHABLE ends a switch that must be closed.
#ifndef CV_BASE_CHECK_H
#define CV_BASE_CHECK_H

// Prints where and what, then aborts. Never returns.
_Noreturn void cv_check_failed(const char *file, int line, const char *what);

#define CV_ASSERT(cond)  ((cond) ? (void)0 : cv_check_failed(__FILE__, __LINE__, #cond))
#define CV_UNREACHABLE() cv_check_failed(__FILE__, __LINE__, "unreachable")

#ifdef NDEBUG
#define CV_DASSERT(cond) ((void)sizeof(cond))
#else
#define CV_DASSERT(cond) CV_ASSERT(cond)
#endif

#endif
