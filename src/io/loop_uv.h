// Inside the io room: what the other files need of the loop to put handles on it.
#ifndef CV_IO_LOOP_UV_H
#define CV_IO_LOOP_UV_H

struct cv_loop;
struct uv_process_s; // uv_process_t

// The uv_loop_t.
void *cv__loop_uv(struct cv_loop *loop);
// Every callback from uv begins with it: the first of a turn reads the clock.
void cv__loop_enter(struct cv_loop *loop);
// Closes the handle of a child that was freed and not yet waited for (io/process.c): the loop ends.
void cv__process_let_go(struct uv_process_s *child);

#endif
