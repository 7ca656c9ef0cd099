#include "io/resolve.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/loop_uv.h"

#include <netdb.h>
#include <uv.h>

struct cv_resolve {
    uv_getaddrinfo_t request;
    struct cv_loop *loop;
    uint16_t port;
    void (*fn)(void *arg, int code, const struct cv_addr *addrs, unsigned count); // NULL: cancelled
    void *arg;
};

static int resolve_error(int status)
{
    switch (status) {
    case 0:
        return CV_OK;
    case UV_EAI_AGAIN:
        return CV_E_AGAIN;
    case UV_EAI_MEMORY:
    case UV_ENOMEM:
        return CV_E_NOMEM;
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
    case UV_EAI_ADDRFAMILY:
    case UV_EAI_FAIL:
        return CV_E_NOT_FOUND;
    default:
        return CV_E_SYSTEM;
    }
}

static unsigned collect(const struct addrinfo *list, uint16_t port, struct cv_addr *addrs)
{
    unsigned count = 0;
    for (; list && count < CV_LIMIT_ADDRESSES; list = list->ai_next) {
        struct cv_addr addr = cv_addr_from_system(list->ai_addr);
        addr.port = port;
        if (addr.family != CV_ADDR_ANY)
            addrs[count++] = addr;
    }
    return count;
}

static void on_uv_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct cv_resolve *resolve = request->data;
    struct cv_addr addrs[CV_LIMIT_ADDRESSES];
    cv__loop_enter(resolve->loop);
    unsigned count = collect(list, resolve->port, addrs);
    int code = resolve_error(status);
    if (code == CV_OK && count == 0)
        code = CV_E_NOT_FOUND;
    uv_freeaddrinfo(list);
    if (resolve->fn)
        resolve->fn(resolve->arg, code, addrs, code == CV_OK ? count : 0);
    cv_mem_free(resolve);
}

struct cv_resolve *cv_resolve_start(struct cv_loop *loop, const char *host, uint16_t port,
                                    void (*fn)(void *arg, int code, const struct cv_addr *addrs,
                                               unsigned count),
                                    void *arg)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    CV_ASSERT(fn);
    struct cv_resolve *resolve = cv_mem_zero(1, sizeof *resolve);
    if (!resolve)
        return NULL;
    resolve->loop = loop;
    resolve->port = port;
    resolve->fn = fn;
    resolve->arg = arg;
    resolve->request.data = resolve;
    if (uv_getaddrinfo(cv__loop_uv(loop), &resolve->request, on_uv_resolved, host, NULL, &hints) ==
        0)
        return resolve;
    cv_mem_free(resolve);
    return NULL;
}

void cv_resolve_cancel(struct cv_resolve **resolve)
{
    if (!*resolve)
        return;
    (*resolve)->fn = NULL;
    uv_cancel((uv_req_t *)&(*resolve)->request); // if it runs already, its answer is ignored
    *resolve = NULL;
}
