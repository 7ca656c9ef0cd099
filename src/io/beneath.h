// Opens a file below a folder, and never one outside of it, whatever stands in its path and
// whatever symbolic links are there.
//
// Linux since 5.6 does that itself (openat2, RESOLVE_BENEATH): links that stay inside the folder
// are followed, also while somebody changes them. Elsewhere no link is followed at all. May block:
// for threads that may.
#ifndef CV_IO_BENEATH_H
#define CV_IO_BENEATH_H

// For reading. `path` is relative to `folder`, an open directory (O_PATH is enough). Does not wait
// for the other end of a FIFO; what was opened may be anything: ask fstat.
// The descriptor (>= 0), the caller's; or CV_E_NOT_FOUND (also what would lead outside),
// CV_E_DENIED, CV_E_NO_DESCRIPTORS, CV_E_NOMEM, CV_E_SYSTEM.
int cv_open_beneath(int folder, const char *path);
// The second way, which follows no links; for tests.
int cv__open_beneath_stepwise(int folder, const char *path);
// Our code for an errno of open(2).
int cv_open_error(int system_errno);

#endif
