// Runtime of the host executor: runs a grid block by block.  Threads of a
// block are fibers, created only when a thread blocks: a kernel without
// barriers runs as a plain loop on one stack.
#include <algorithm>
#include <atomic>
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>
#include <dlfcn.h>
#include <link.h>
#include <ucontext.h>

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
struct Thread { uint3 tid, bid; dim3 bdim, gdim; unsigned linear; };
extern "C" {
__attribute__((tls_model("initial-exec"))) thread_local Thread* cudasim_cur;
int cudasim_workers = 1;          // OS threads
int cudasim_order = 0;            // 0 forward, 1 reverse, 2 random
unsigned cudasim_seed = 1;
int cudasim_poison = 0;           // fill shared memory with 0xff before each block
size_t cudasim_stack = 256 << 10;
unsigned long long cudasim_switches = 0;
// __shared__ variables are thread-local variables of the kernel's library; this
// finds the calling thread's copy of all of them
struct TlsIndex { unsigned long module, offset; };
void* __tls_get_addr(TlsIndex*);
// sanitizer hooks, null unless that sanitizer is loaded
#define WEAK __attribute__((weak))
WEAK void __sanitizer_start_switch_fiber(void**, const void*, size_t);
WEAK void __sanitizer_finish_switch_fiber(void*, const void**, size_t*);
WEAK void* __tsan_get_current_fiber(void);
WEAK void* __tsan_create_fiber(unsigned);
WEAK void __tsan_destroy_fiber(void*);
WEAK void __tsan_switch_to_fiber(void*, unsigned);
WEAK void __tsan_acquire(void*);
WEAK void __tsan_release(void*);
WEAK void AnnotateIgnoreReadsBegin(const char*, int);
WEAK void AnnotateIgnoreReadsEnd(const char*, int);
WEAK void AnnotateIgnoreWritesBegin(const char*, int);
WEAK void AnnotateIgnoreWritesEnd(const char*, int);
WEAK void __asan_poison_memory_region(void const volatile*, size_t);
WEAK void __asan_unpoison_memory_region(void const volatile*, size_t);
}

// TSan must not look at what the scheduler itself does
struct Quiet {
    Quiet() { if (AnnotateIgnoreReadsBegin) { AnnotateIgnoreReadsBegin("", 0); AnnotateIgnoreWritesBegin("", 0); } }
    ~Quiet() { if (AnnotateIgnoreReadsEnd) { AnnotateIgnoreReadsEnd("", 0); AnnotateIgnoreWritesEnd("", 0); } }
};

// --- context switch -----------------------------------------------------
#ifdef __x86_64__
// saves callee-saved registers on the old stack, continues on the new one
asm(R"(
.text
.type cudasim_switch_,@function
cudasim_switch_:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
.size cudasim_switch_,.-cudasim_switch_
)");
extern "C" void cudasim_switch_(void** save, void* to);
struct Context {
    void* sp = nullptr;
    void make(char* lo, size_t n, void (*f)())
    {
        auto top = reinterpret_cast<void**>((reinterpret_cast<uintptr_t>(lo + n) & ~15ul));
        *--top = nullptr;                          // f never returns
        *--top = reinterpret_cast<void*>(f);
        for (int i = 0; i < 6; ++i) *--top = nullptr;
        sp = top;
    }
    static void swap(Context& from, Context& to) { cudasim_switch_(&from.sp, to.sp); }
};
#else
struct Context {
    ucontext_t u;
    void make(char* lo, size_t n, void (*f)())
    { getcontext(&u); u.uc_stack.ss_sp = lo; u.uc_stack.ss_size = n; u.uc_link = nullptr; makecontext(&u, f, 0); }
    static void swap(Context& from, Context& to) { swapcontext(&from.u, &to.u); }
};
#endif

enum Wait : char { RUNNING, READY, BLOCK_BARRIER, WARP, DONE };
struct Collective {             // one warp operation under way
    unsigned mask = 0, arrived = 0, left = 0;
    const char* file; int line; int op;
    uint64_t vals[32];
    bool complete = false;
};
struct Fiber {
    Context ctx;
    char* stack = nullptr; size_t size = 0;
    void* tsan = nullptr; void* fake = nullptr;
    Thread t;                   // the CUDA thread it is running now
    Wait wait = DONE;
    const char* file = ""; int line = 0; int pred = 0;
    int saved = -1;
};
struct Launch {
    void (*body)(void*); void* ctx; dim3 grid, block; size_t smem;
    size_t tls_module = 0, tls_size = 0;
    std::atomic<unsigned long long> next{0}; unsigned long long nblocks;
    std::atomic<bool> failed{false}; std::string error; std::atomic_flag lock = ATOMIC_FLAG_INIT;
};
struct Stop {};

struct Worker {                 // one OS thread: runs one block at a time
    Launch* L = nullptr;
    Context main; const void* main_lo = nullptr; size_t main_n = 0; void* main_tsan = nullptr;
    std::vector<std::unique_ptr<Fiber>> fibers;   // all, by creation
    std::vector<Fiber*> idle, blocked;
    Fiber* cur = nullptr;
    std::vector<unsigned> order; unsigned started = 0, nthreads = 0, ndone = 0;
    uint3 bid{};
    std::vector<unsigned> exited;                 // lanes gone, per warp
    std::vector<std::vector<Collective*>> coll;   // per warp
    std::mt19937 rng;
    char* smem = nullptr; size_t smem_map = 0; char* smem_base = nullptr;
    int barrier_result = 0;
    char bar_tag[2] = {0, 0}; unsigned phase = 0; char begin_tag = 0, end_tag = 0;   // addresses used for happens-before
    sigjmp_buf crash; volatile bool armed = false;
    unsigned long long switches = 0;
    bool abandon = false;
};
static thread_local Worker* W;
static const size_t PAGE = 4096;

static std::string format(const char* f, ...)
{
    char b[1024]; va_list a; va_start(a, f); vsnprintf(b, sizeof b, f, a); va_end(a); return b;
}
static void set_error(Launch* L, const std::string& s)
{
    while (L->lock.test_and_set()) {}
    if (!L->failed) { L->error = s; L->failed = true; }
    L->lock.clear();
}
static std::string where(const Thread& t)
{
    return format("block (%u,%u,%u) thread (%u,%u,%u)", t.bid.x, t.bid.y, t.bid.z, t.tid.x, t.tid.y, t.tid.z);
}

static void to_main()
{
    Fiber* f = W->cur;
    ++W->switches;
    if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&f->fake, W->main_lo, W->main_n);
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(W->main_tsan, 1);
    Context::swap(f->ctx, W->main);
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(f->fake, nullptr, nullptr);
    cudasim_cur = &W->cur->t;
}
static void to_fiber(Fiber* f)
{
    W->cur = f;
    ++W->switches;
    void* fake = nullptr;
    if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&fake, f->stack + PAGE, f->size - PAGE);
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(f->tsan, 1);
    Context::swap(W->main, f->ctx);
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

static void start_thread(Fiber* f)      // next CUDA thread of the block
{
    const unsigned n = W->order[W->started++];
    const dim3 b = W->L->block;
    f->t = {{n % b.x, n / b.x % b.y, n / (b.x * b.y)}, W->bid, b, W->L->grid, n};
    f->wait = RUNNING;
}
static void check_collectives(unsigned warp);
static void finish_thread(Fiber* f)
{
    ++W->ndone;
    W->exited[f->t.linear >> 5] |= 1u << (f->t.linear & 31);
    check_collectives(f->t.linear >> 5);
    f->wait = DONE;
}
static void fiber_main()
{
    if (__sanitizer_finish_switch_fiber)
        __sanitizer_finish_switch_fiber(nullptr, W->main_lo ? nullptr : &W->main_lo, W->main_n ? nullptr : &W->main_n);
    for (;;) {
        Fiber* f = W->cur;
        cudasim_cur = &f->t;
        if (__tsan_acquire) __tsan_acquire(&W->begin_tag);
        W->L->body(W->L->ctx);
        if (__tsan_release) __tsan_release(&W->end_tag);
        { Quiet q; finish_thread(f); }
        // without TSan the same stack goes on with the next thread
        if (!__tsan_switch_to_fiber && W->started < W->nthreads && !W->L->failed) { start_thread(f); continue; }
        to_main();
    }
}
static Fiber* new_fiber()
{
    Fiber* f;
    if (!W->idle.empty()) { f = W->idle.back(); W->idle.pop_back(); }
    else {
        W->fibers.emplace_back(new Fiber); f = W->fibers.back().get();
        f->size = cudasim_stack + PAGE;
        f->stack = (char*)mmap(nullptr, f->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        mprotect(f->stack, PAGE, PROT_NONE);
        f->ctx.make(f->stack + PAGE, f->size - PAGE, fiber_main);
    }
    if (__tsan_create_fiber) f->tsan = __tsan_create_fiber(0);
    return f;
}
static void drop_fiber(Fiber* f)        // its CUDA thread has ended
{
    if (__tsan_destroy_fiber) {         // a fresh stack: no false races on a reused one
        __tsan_destroy_fiber(f->tsan);
        mprotect(f->stack, PAGE, PROT_READ | PROT_WRITE);
        mmap(f->stack, f->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        mprotect(f->stack, PAGE, PROT_NONE);
        f->ctx.make(f->stack + PAGE, f->size - PAGE, fiber_main);
    }
    W->idle.push_back(f);
}

static void stop_block(const std::string& why) { set_error(W->L, why); }

extern "C" void cudasim_fail(const char* what, const char* file, int line)
{
    stop_block(format("%s at %s:%d, %s", what, file, line, where(W->cur->t).c_str()));
    W->abandon = true;
    to_main();
    abort();
}
static int barrier(int pred, const char* file, int line)
{
    Quiet q;
    Fiber* f = W->cur;
    f->wait = BLOCK_BARRIER; f->file = file; f->line = line; f->pred = pred;
    // two tags in turn: a thread still leaving this barrier must not acquire
    // what another one releases on reaching the next
    char* tag = &W->bar_tag[W->phase & 1];
    if (__tsan_release) __tsan_release(tag);
    W->blocked.push_back(f);
    to_main();
    if (__tsan_acquire) __tsan_acquire(tag);
    return W->barrier_result;
}
extern "C" void cudasim_syncthreads(const char* file, int line) { barrier(0, file, line); }
extern "C" int cudasim_syncthreads_count(int p, const char* file, int line) { return barrier(p != 0, file, line); }

static void complete(unsigned warp, Collective* c)
{
    c->complete = true;
    for (Fiber* f : W->blocked)
        if (f->wait == WARP && f->t.linear >> 5 == warp && (c->arrived >> (f->t.linear & 31) & 1)) f->wait = READY;
}
static void check_collectives(unsigned warp)
{
    for (Collective* c : W->coll[warp])
        if (!c->complete && (c->arrived | W->exited[warp]) == (c->mask | W->exited[warp])) complete(warp, c);
}
extern "C" void cudasim_warp(int op, unsigned mask, uint64_t v, uint64_t* vals, unsigned* present, const char* file, int line)
{
    Quiet q;
    Fiber* f = W->cur;
    const unsigned warp = f->t.linear >> 5, lane = f->t.linear & 31;
    const unsigned in_block = W->nthreads - warp * 32 >= 32 ? ~0u : (1u << (W->nthreads - warp * 32)) - 1;
    if (!(mask >> lane & 1)) cudasim_fail("warp operation whose mask leaves out the calling lane", file, line);
    Collective* c = nullptr;
    for (Collective* k : W->coll[warp]) if (!k->complete && k->mask == mask) c = k;
    if (!c) {
        c = new Collective; c->mask = mask; c->file = file; c->line = line; c->op = op;
        W->coll[warp].push_back(c);
    } else if (c->line != line || c->op != op)
        cudasim_fail(format("lanes of a warp meet in different operations (line %d and this one)", c->line).c_str(), file, line);
    c->vals[lane] = v; c->arrived |= 1u << lane;
    if (op == 2 && __tsan_release) __tsan_release(c);
    const unsigned gone = W->exited[warp] | ~in_block;
    if ((c->arrived | gone) == (mask | gone)) complete(warp, c);
    else {
        f->wait = WARP; f->file = file; f->line = line;
        W->blocked.push_back(f);
        to_main();
    }
    if (op == 2 && __tsan_acquire) __tsan_acquire(c);
    memcpy(vals, c->vals, sizeof c->vals);
    *present = c->arrived;
    c->left |= 1u << lane;
    if (c->left == c->arrived) {
        auto& cs = W->coll[warp];
        cs.erase(std::find(cs.begin(), cs.end(), c));
        delete c;
    }
}
extern "C" void* cudasim_dynamic_shared() { return W->smem; }

static int find_tls(dl_phdr_info* i, size_t, void* v)
{
    Launch* L = static_cast<Launch*>(v);
    const uintptr_t pc = (uintptr_t)L->body;
    bool mine = false; size_t n = 0;
    for (int k = 0; k < i->dlpi_phnum; ++k) {
        const auto& h = i->dlpi_phdr[k];
        if (h.p_type == PT_LOAD && pc - (i->dlpi_addr + h.p_vaddr) < h.p_memsz) mine = true;
        if (h.p_type == PT_TLS) n = h.p_memsz;
    }
    if (mine) { L->tls_module = i->dlpi_tls_modid; L->tls_size = n; }
    return mine;
}
static void run_block(unsigned long long b)
{
    Launch* L = W->L;
    const dim3 g = L->grid, d = L->block;
    W->bid = {(unsigned)(b % g.x), (unsigned)(b / g.x % g.y), (unsigned)(b / g.x / g.y)};
    W->nthreads = d.x * d.y * d.z; W->started = W->ndone = 0;
    const unsigned nwarps = (W->nthreads + 31) / 32;
    W->exited.assign(nwarps, 0); W->coll.resize(nwarps);
    unsigned slow = ~0u;
    if (cudasim_order == 2) {
        W->rng.seed(cudasim_seed * 7919u + (unsigned)b);
        std::shuffle(W->order.begin(), W->order.end(), W->rng);
        slow = (unsigned)((b + cudasim_seed - 1) % nwarps);
    }
    if (cudasim_poison) {
        if (L->tls_size) { TlsIndex t{L->tls_module, 0}; memset(__tls_get_addr(&t), 0xff, L->tls_size); }
        memset(W->smem, 0xff, L->smem);
    }
    if (__tsan_acquire) {      // shared memory is new in every block
        if (L->smem) mmap(W->smem_base + PAGE, W->smem_map - 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        // static variables keep their address: order the blocks, at the price
        // of not seeing races between the blocks of such a kernel
        if (L->tls_size) { __tsan_acquire(&W->end_tag); __tsan_release(&W->begin_tag); }
    }
    std::vector<Fiber*> run;
    while (W->ndone < W->nthreads) {
        while (W->started < W->nthreads) {            // start all
            Fiber* f = new_fiber();
            start_thread(f);
            to_fiber(f);
            if (L->failed) return;
            if (f->wait == DONE) drop_fiber(f);
        }
        run.clear();
        for (Fiber* f : W->blocked) if (f->wait == READY) run.push_back(f);
        if (run.empty()) {                            // all wait: the barrier?
            unsigned at = 0; int count = 0;
            Fiber* odd = nullptr;
            for (Fiber* f : W->blocked) if (f->wait == BLOCK_BARRIER) {
                ++at; count += f->pred;
                if (f->line != W->blocked[0]->line) odd = f;
            }
            if (at && at + W->ndone == W->nthreads) {
                if (odd) {
                    stop_block(format("barrier divergence: __syncthreads at %s:%d by %s, at line %d by %s", odd->file, odd->line,
                        where(odd->t).c_str(), W->blocked[0]->line, where(W->blocked[0]->t).c_str()));
                    return;
                }
                W->barrier_result = count; ++W->phase;
                for (Fiber* f : W->blocked) f->wait = READY;
                run = W->blocked;
            } else if (W->ndone == W->nthreads) {
                break;
            } else {
                Fiber *a = nullptr, *w = nullptr;
                for (Fiber* f : W->blocked) (f->wait == WARP ? w : a) = f;
                stop_block(format("deadlock: %s waits for its warp at %s:%d%s", where(w->t).c_str(), w->file, w->line,
                    a ? format(" while %s waits at __syncthreads line %d", where(a->t).c_str(), a->line).c_str() : ""));
                return;
            }
        }
        if (cudasim_order == 1) std::reverse(run.begin(), run.end());
        if (cudasim_order == 2) {       // one warp lags behind as far as it can
            auto fast = std::partition(run.begin(), run.end(), [&](Fiber* f) { return f->t.linear >> 5 != slow; });
            if (fast != run.begin()) run.erase(fast, run.end());
            std::shuffle(run.begin(), run.end(), W->rng);
        }
        for (Fiber* f : run) f->wait = RUNNING;
        W->blocked.erase(std::remove_if(W->blocked.begin(), W->blocked.end(), [](Fiber* f) { return f->wait == RUNNING; }), W->blocked.end());
        for (Fiber* f : run) {
            to_fiber(f);
            if (L->failed) return;
            if (f->wait == DONE) drop_fiber(f);
        }
    }
}

// --- illegal addresses ----------------------------------------------------
struct Region { char *lo, *hi, *map; size_t nmap; std::string name; };
static std::vector<Region> regions;     // buffers handed out by cudasim_alloc
static unsigned long fault_pc(void* u)
{
#ifdef __x86_64__
    return ((ucontext_t*)u)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return ((ucontext_t*)u)->uc_mcontext.pc;
#endif
}
static void on_signal(int sig, siginfo_t* si, void* u)
{
    if (!W || !W->armed) { signal(sig, SIG_DFL); raise(sig); return; }
    std::string near = "";
    char* a = (char*)si->si_addr;
    if (sig == SIGFPE) near = "integer division by zero";
    else if (sig == SIGILL || sig == SIGTRAP) near = "undefined behaviour (index, overflow, shift, conversion or alignment)";
    else {
        near = format("illegal address %p", a);
        long best = 1l << 40;
        for (auto& r : regions) {
            if (a >= r.hi && a - r.hi < best) { best = a - r.hi; near = format("illegal address %ld bytes past the end of '%s'", (long)(a - r.hi), r.name.c_str()); }
            if (a < r.lo && r.lo - a < best) { best = r.lo - a; near = format("illegal address %ld bytes before the start of '%s'", (long)(r.lo - a), r.name.c_str()); }
        }
        for (auto& f : W->fibers) if (a >= f->stack && a < f->stack + PAGE) near = "stack overflow (local arrays too large)";
    }
    Dl_info dl; const unsigned long pc = fault_pc(u);
    set_error(W->L, near + " in " + where(W->cur->t) + (dladdr((void*)pc, &dl) ? format(" @%lx", pc - (unsigned long)dl.dli_fbase) : ""));
    siglongjmp(W->crash, 1);
}
// device memory: ends at a page that cannot be touched; slack holds a canary
extern "C" void* cudasim_alloc(size_t n, size_t align, const char* name)
{
    const size_t pages = (n + PAGE - 1) / PAGE * PAGE, total = pages + 2 * PAGE;
    char* m = (char*)mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(m, PAGE, PROT_NONE); mprotect(m + PAGE + pages, PAGE, PROT_NONE);
    char* p = m + PAGE + (pages - n) / align * align;
    memset(m + PAGE, 0xA5, pages);
    regions.push_back({p, p + n, m, total, name});
    if (__asan_poison_memory_region) {
        __asan_poison_memory_region(m + PAGE, pages);
        __asan_unpoison_memory_region(p, n);
    }
    return p;
}
extern "C" int cudasim_free(void* p)       // 1 when the canary was overwritten
{
    for (size_t i = 0; i < regions.size(); ++i) if (regions[i].lo == p) {
        Region r = regions[i]; int bad = 0;
        if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(r.map + PAGE, r.nmap - 2 * PAGE);
        for (char* q = r.map + PAGE; q < r.lo; ++q) bad |= (unsigned char)*q != 0xA5;
        for (char* q = r.hi; q < r.map + r.nmap - PAGE; ++q) bad |= (unsigned char)*q != 0xA5;
        munmap(r.map, r.nmap); regions.erase(regions.begin() + i);
        return bad;
    }
    return 2;
}

static void work(Launch* L)
{
    Quiet q;
    Worker w; W = &w; w.L = L;
    if (__tsan_get_current_fiber) w.main_tsan = __tsan_get_current_fiber();
    if (__sanitizer_start_switch_fiber) {
        pthread_attr_t a; void* lo; size_t n;
        pthread_getattr_np(pthread_self(), &a); pthread_attr_getstack(&a, &lo, &n); pthread_attr_destroy(&a);
        w.main_lo = lo; w.main_n = n;
    }
    w.order.resize(L->block.x * L->block.y * L->block.z);
    for (unsigned i = 0; i < w.order.size(); ++i) w.order[i] = cudasim_order == 1 ? (unsigned)w.order.size() - 1 - i : i;
    // dynamic shared memory, ending at a guard page
    const size_t pages = (L->smem + PAGE - 1) / PAGE * PAGE;
    w.smem_map = pages + 2 * PAGE;
    w.smem_base = (char*)mmap(nullptr, w.smem_map, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(w.smem_base, PAGE, PROT_NONE); mprotect(w.smem_base + PAGE + pages, PAGE, PROT_NONE);
    w.smem = w.smem_base + PAGE + (pages - L->smem) / 16 * 16;
    if (L->smem) regions.push_back({w.smem, w.smem + L->smem, nullptr, 0, "dynamic shared memory"});
    // alternate signal stack, so that a fiber's stack overflow can be reported
    std::vector<char> alt(64 << 10);
    stack_t ss{}, old{}; ss.ss_sp = alt.data(); ss.ss_size = alt.size(); sigaltstack(&ss, &old);
    // allocate the kernel's thread-local block here: it comes from malloc on its
    // first use, which TSan would take for a write by whichever thread came first
    if (L->tls_size) { TlsIndex t{L->tls_module, 0}; __tls_get_addr(&t); }
    if (__tsan_release) __tsan_release(&w.begin_tag);
    if (sigsetjmp(w.crash, 1) == 0) {
        w.armed = true;
        const unsigned long long chunk = std::max<unsigned long long>(1, std::min<unsigned long long>(64, L->nblocks / 64));
        for (;;) {
            const unsigned long long b0 = L->next.fetch_add(chunk);
            if (b0 >= L->nblocks || L->failed) break;
            for (unsigned long long b = b0; b < std::min(b0 + chunk, L->nblocks) && !L->failed; ++b)
                run_block(cudasim_order ? L->nblocks - 1 - b : b);
        }
    }
    w.armed = false;
    if (__tsan_acquire) __tsan_acquire(&w.end_tag);
    if (!(old.ss_flags & SS_DISABLE)) sigaltstack(&old, nullptr); else { ss.ss_flags = SS_DISABLE; sigaltstack(&ss, nullptr); }
    for (auto& c : w.coll) for (auto* k : c) delete k;
    for (auto& f : w.fibers) munmap(f->stack, f->size);
    munmap(w.smem_base, w.smem_map);
    regions.erase(std::remove_if(regions.begin(), regions.end(), [&](Region& r) { return r.lo == w.smem; }), regions.end());
    __atomic_fetch_add(&cudasim_switches, w.switches, __ATOMIC_RELAXED);
    W = nullptr;
}
extern "C" int cudasim_launch(void (*body)(void*), void* ctx, const unsigned* g, const unsigned* b, size_t smem, char* err, size_t nerr)
{
    Launch L; L.body = body; L.ctx = ctx; L.grid = {g[0], g[1], g[2]}; L.block = {b[0], b[1], b[2]}; L.smem = smem;
    dl_iterate_phdr(find_tls, &L);
    L.nblocks = (unsigned long long)g[0] * g[1] * g[2];
    const unsigned long long n = (unsigned long long)b[0] * b[1] * b[2];
    if (!n || n > 1024 || b[2] > 64 || !L.nblocks || g[1] > 65535 || g[2] > 65535 || smem > 232448) {
        snprintf(err, nerr, "invalid launch configuration"); return 1;
    }
    struct sigaction sa{}, os, ob, of, oi; sa.sa_sigaction = on_signal; sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    const bool guard = !__asan_poison_memory_region && !__tsan_create_fiber;   // they report by themselves
    if (guard) { sigaction(SIGSEGV, &sa, &os); sigaction(SIGBUS, &sa, &ob); sigaction(SIGFPE, &sa, &of); sigaction(SIGILL, &sa, &oi); }
    const int nw = cudasim_workers;
    if (nw <= 1 || L.nblocks < 2) work(&L);
    else {
        std::vector<std::thread> ts;
        for (int i = 0; i < nw; ++i) ts.emplace_back(work, &L);
        for (auto& t : ts) t.join();
    }
    if (guard) { sigaction(SIGSEGV, &os, nullptr); sigaction(SIGBUS, &ob, nullptr); sigaction(SIGFPE, &of, nullptr); sigaction(SIGILL, &oi, nullptr); }
    if (L.failed) { snprintf(err, nerr, "%s", L.error.c_str()); return 1; }
    return 0;
}
