// Signals of the process, as calls on the main loop.
#ifndef CV_IO_SIGNALS_H
#define CV_IO_SIGNALS_H

struct cv_loop;
struct cv_signals;

enum cv_signal {
    CV_SIGNAL_STOP,   // SIGTERM, SIGINT
    CV_SIGNAL_RELOAD, // SIGHUP
    CV_SIGNAL_USER,   // SIGUSR1
};

// Writing to a closed pipe or socket is an error, not a death. Once, early in main().
void cv_signals_ignore_pipe(void);
// `fn` is called on the loop for each signal of the list above. NULL when there is no memory.
struct cv_signals *cv_signals_new(struct cv_loop *loop,
                                  void (*fn)(void *arg, enum cv_signal signal), void *arg);
// The signals have their default meaning again; the memory goes with the turn. NULL is allowed.
void cv_signals_free(struct cv_signals *signals);

#endif
