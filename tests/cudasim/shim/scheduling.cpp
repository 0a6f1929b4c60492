// Runs a grid block by block. A kernel in which no thread waits runs as a plain loop on one stack;
// another fiber is made only when a thread waits, at a barrier or for its warp.
#include "runtime.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <link.h>
#include <thread>

extern "C" {
thread_local Thread* cudasim_cur;
int cudasim_workers = 1, cudasim_order = FORWARD, cudasim_poison = 0;
unsigned cudasim_seed = 1;
size_t cudasim_stack = 256 << 10;

// __shared__ variables are thread-local variables of the kernel's library. This finds all of them
// that belong to the calling OS thread.
struct TlsIndex {
    unsigned long module, offset;
};
void* __tls_get_addr(TlsIndex*);
}

thread_local Worker* worker;

// --- barriers and warps: called by kernels --------------------------------------------------------

static void wait_for_others(Wait why, const char* file, int line)
{
    Fiber* fiber = worker->current;
    fiber->wait = why;
    fiber->file = file;
    fiber->line = line;
    worker->blocked.push_back(fiber);
    to_main();
}

static int barrier(int predicate, const char* file, int line)
{
    Quiet quiet;
    worker->current->predicate = predicate;
    char* tag = &worker->barrier_tags[worker->phase & 1];
    if (__tsan_release) __tsan_release(tag);
    wait_for_others(AT_BARRIER, file, line);
    if (__tsan_acquire) __tsan_acquire(tag);
    return worker->barrier_count;
}

extern "C" void cudasim_syncthreads(const char* file, int line) { barrier(0, file, line); }

extern "C" int cudasim_syncthreads_count(int predicate, const char* file, int line)
{
    return barrier(predicate != 0, file, line);
}

extern "C" void cudasim_fail(const char* what, const char* file, int line)
{
    const std::string where = place_of(worker->current->thread);
    worker->launch->fail(format("%s at %s:%d, %s", what, file, line, where.c_str()));
    to_main();
    abort();
}

static void complete(unsigned warp, Collective* collective)
{
    collective->is_complete = true;
    for (Fiber* fiber : worker->blocked) {
        const unsigned linear = fiber->thread.linear;
        const bool takes_part = linear / WARP == warp && collective->arrived >> linear % WARP & 1;
        if (fiber->wait == IN_WARP && takes_part) fiber->wait = READY;
    }
}

void check_collectives(unsigned warp)
{
    const unsigned gone = worker->exited[warp];
    for (Collective* one : worker->collectives[warp])
        if (!one->is_complete && (one->arrived | gone) == (one->mask | gone)) complete(warp, one);
}

static Collective* join_collective(unsigned warp, unsigned mask, int op, const char* file, int line)
{
    for (Collective* one : worker->collectives[warp]) {
        if (one->is_complete || one->mask != mask) continue;
        if (one->line != line || one->operation != op)
            cudasim_fail(format("lanes of a warp meet in different operations (line %d and this one)",
                                one->line).c_str(), file, line);
        return one;
    }
    auto one = new Collective;
    one->mask = mask;
    one->line = line;
    one->operation = op;
    worker->collectives[warp].push_back(one);
    return one;
}

// All lanes of the mask meet; each gets the values of all. `op` is cudasim::Op.
extern "C" void cudasim_warp(int op, unsigned mask, uint64_t value, uint64_t* values,
                             unsigned* present, const char* file, int line)
{
    constexpr int sync = 2;  // the one operation that orders memory
    Quiet quiet;
    Fiber* fiber = worker->current;
    const unsigned warp = fiber->thread.linear / WARP, lane = fiber->thread.linear % WARP;
    const unsigned n_lanes = std::min(WARP, worker->n_threads - warp * WARP);
    const unsigned absent = n_lanes == WARP ? 0 : ~((1u << n_lanes) - 1);
    if (!(mask >> lane & 1))
        cudasim_fail("warp operation whose mask leaves out the calling lane", file, line);
    Collective* one = join_collective(warp, mask, op, file, line);
    one->values[lane] = value;
    one->arrived |= 1u << lane;
    if (op == sync && __tsan_release) __tsan_release(one);
    const unsigned gone = worker->exited[warp] | absent;
    if ((one->arrived | gone) == (mask | gone)) complete(warp, one);
    else wait_for_others(IN_WARP, file, line);
    if (op == sync && __tsan_acquire) __tsan_acquire(one);
    memcpy(values, one->values, sizeof one->values);
    *present = one->arrived;
    one->left |= 1u << lane;
    if (one->left == one->arrived) {
        auto& all = worker->collectives[warp];
        all.erase(std::find(all.begin(), all.end(), one));
        delete one;
    }
}

extern "C" void* cudasim_dynamic_shared() { return worker->shared.low; }

// --- blocks ---------------------------------------------------------------------------------------

void start_next_thread(Fiber* fiber)
{
    const unsigned n = worker->order[worker->n_started++];
    const dim3 size = worker->launch->block;
    const uint3 place = {n % size.x, n / size.x % size.y, n / (size.x * size.y)};
    fiber->thread = {place, worker->block, size, worker->launch->grid, n};
    fiber->wait = RUNNING;
}

void Worker::start_threads()
{
    while (n_started < n_threads && !launch->has_failed) {
        Fiber* fiber = new_fiber();
        start_next_thread(fiber);
        switch_to(fiber);
        if (fiber->wait == DONE) drop_fiber(fiber);
    }
}

void Worker::poison_shared_memory()
{
    if (launch->tls_size) {
        TlsIndex all{launch->tls_module, 0};
        memset(__tls_get_addr(&all), 0xff, launch->tls_size);
    }
    memset(shared.low, 0xff, shared.high - shared.low);
}

void Worker::prepare_block(unsigned long long number)
{
    const dim3 grid = launch->grid;
    block = {unsigned(number % grid.x), unsigned(number / grid.x % grid.y),
             unsigned(number / grid.x / grid.y)};
    const unsigned n_warps = (n_threads + WARP - 1) / WARP;
    n_started = n_done = 0;
    exited.assign(n_warps, 0);
    collectives.resize(n_warps);
    if (cudasim_order == RANDOM) {
        random.seed(cudasim_seed * 7919u + unsigned(number));
        std::shuffle(order.begin(), order.end(), random);
        slow_warp = unsigned((number + cudasim_seed - 1) % n_warps);
    }
    if (cudasim_poison) poison_shared_memory();
    if (!__tsan_acquire) return;
    // Shared memory is new in every block. Static variables keep their address, so blocks are put
    // in order, at the price of not seeing races between the blocks of such a kernel.
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (launch->shared_memory)
        mmap(shared.map + PAGE, shared.mapped - 2 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (launch->tls_size) {
        __tsan_acquire(&end_tag);
        __tsan_release(&begin_tag);
    }
}

// All threads that are left wait: lets them pass the barrier if all are there, or says why not.
bool Worker::open_barrier()
{
    unsigned n_here = 0;
    int count = 0;
    Fiber *elsewhere = nullptr, *at_barrier = nullptr, *in_warp = nullptr;
    for (Fiber* fiber : blocked) {
        if (fiber->wait != AT_BARRIER) {
            in_warp = fiber;
            continue;
        }
        ++n_here;
        count += fiber->predicate;
        at_barrier = fiber;
        if (fiber->line != blocked[0]->line) elsewhere = fiber;
    }
    if (in_warp) {
        std::string why = format("deadlock: %s waits for its warp at %s:%d",
                                 place_of(in_warp->thread).c_str(), in_warp->file, in_warp->line);
        if (at_barrier)
            why += format(" while %s waits at __syncthreads line %d",
                          place_of(at_barrier->thread).c_str(), at_barrier->line);
        launch->fail(why);
        return false;
    }
    if (elsewhere) {
        launch->fail(format("barrier divergence: __syncthreads at %s:%d by %s, at line %d by %s",
                            elsewhere->file, elsewhere->line, place_of(elsewhere->thread).c_str(),
                            blocked[0]->line, place_of(blocked[0]->thread).c_str()));
        return false;
    }
    barrier_count = count;
    ++phase;
    for (Fiber* fiber : blocked) fiber->wait = READY;
    return n_here > 0;
}

void Worker::resume(std::vector<Fiber*>& ready)
{
    if (cudasim_order == REVERSE) std::reverse(ready.begin(), ready.end());
    if (cudasim_order == RANDOM) {  // one warp lags behind as far as it can
        auto is_fast = [&](Fiber* fiber) { return fiber->thread.linear / WARP != slow_warp; };
        auto slow = std::partition(ready.begin(), ready.end(), is_fast);
        if (slow != ready.begin()) ready.erase(slow, ready.end());
        std::shuffle(ready.begin(), ready.end(), random);
    }
    for (Fiber* fiber : ready) fiber->wait = RUNNING;
    auto is_running = [](Fiber* fiber) { return fiber->wait == RUNNING; };
    blocked.erase(std::remove_if(blocked.begin(), blocked.end(), is_running), blocked.end());
    for (Fiber* fiber : ready) {
        switch_to(fiber);
        if (launch->has_failed) return;
        if (fiber->wait == DONE) drop_fiber(fiber);
    }
}

void Worker::run_block(unsigned long long number)
{
    prepare_block(number);
    start_threads();
    std::vector<Fiber*> ready;
    while (n_done < n_threads && !launch->has_failed) {
        ready.clear();
        auto is_ready = [](Fiber* fiber) { return fiber->wait == READY; };
        std::copy_if(blocked.begin(), blocked.end(), std::back_inserter(ready), is_ready);
        if (ready.empty()) {
            if (!open_barrier()) return;
            ready = blocked;
        }
        resume(ready);
    }
}

// --- OS threads -------------------------------------------------------------------------------------

Worker::Worker(Launch* launch) : launch(launch), n_threads(launch->n_threads())
{
    if (__tsan_get_current_fiber) main_tsan = __tsan_get_current_fiber();
    order.resize(n_threads);
    for (unsigned i = 0; i < n_threads; ++i)
        order[i] = cudasim_order == REVERSE ? n_threads - 1 - i : i;
    shared = guarded(launch->shared_memory, 16, "dynamic shared memory");
    if (launch->shared_memory) remember(shared);
}

Worker::~Worker()
{
    for (auto& of_warp : collectives)
        for (Collective* one : of_warp) delete one;
    for (auto& fiber : fibers) munmap(fiber->stack, fiber->size);
    forget(shared);
    munmap(shared.map, shared.mapped);
}

void Worker::run()
{
    constexpr unsigned long long most = 64;  // blocks that are taken at a time
    const unsigned long long n = launch->n_blocks;
    const unsigned long long at_once = std::max(1ull, std::min(most, n / most));
    // The library's shared variables come from malloc on their first use, which ThreadSanitizer
    // would take for a write by whichever thread came first.
    if (launch->tls_size) {
        TlsIndex all{launch->tls_module, 0};
        __tls_get_addr(&all);
    }
    if (__tsan_release) __tsan_release(&begin_tag);
    if (sigsetjmp(crash, 1) == 0) {
        is_armed = true;
        for (;;) {
            const unsigned long long first = launch->next.fetch_add(at_once);
            if (first >= n || launch->has_failed) break;
            for (auto i = first; i < std::min(first + at_once, n) && !launch->has_failed; ++i)
                run_block(cudasim_order == FORWARD ? i : n - 1 - i);
        }
    }
    is_armed = false;
    if (__tsan_acquire) __tsan_acquire(&end_tag);
}

static void work(Launch* launch)
{
    Quiet quiet;
    Worker one(launch);
    worker = &one;
    // A stack for signals, so that the overflow of a fiber's own can be told.
    std::vector<char> alternative(64 << 10);
    stack_t ours{}, before{};
    ours.ss_sp = alternative.data();
    ours.ss_size = alternative.size();
    sigaltstack(&ours, &before);
    one.run();
    ours.ss_flags = SS_DISABLE;
    sigaltstack(before.ss_flags & SS_DISABLE ? &ours : &before, nullptr);
    worker = nullptr;
}

// Finds the thread-local block of the library that a kernel is in.
static int find_shared(dl_phdr_info* library, size_t, void* found)
{
    auto launch = static_cast<Launch*>(found);
    const auto code = reinterpret_cast<uintptr_t>(launch->body);
    bool is_it = false;
    size_t size = 0;
    for (int i = 0; i < library->dlpi_phnum; ++i) {
        const auto& part = library->dlpi_phdr[i];
        const uintptr_t offset = code - (library->dlpi_addr + part.p_vaddr);
        if (part.p_type == PT_LOAD && offset < part.p_memsz) is_it = true;
        if (part.p_type == PT_TLS) size = part.p_memsz;
    }
    if (!is_it) return 0;
    launch->tls_module = library->dlpi_tls_modid;
    launch->tls_size = size;
    return 1;
}

static bool is_valid(const unsigned* grid, const unsigned* block, size_t shared_memory)
{
    const unsigned long long threads = 1ull * block[0] * block[1] * block[2];
    const bool has_blocks = grid[0] && grid[1] && grid[2] && !(grid[0] >> 31);
    const bool fits = threads && threads <= 1024 && block[2] <= 64 && shared_memory <= 232448;
    return fits && has_blocks && grid[1] <= 65535 && grid[2] <= 65535;
}

// Runs a kernel to its end. Returns 1 if it did what is forbidden, which `error` then tells.
extern "C" int cudasim_launch(void (*body)(void*), void* arguments, const unsigned* grid,
                              const unsigned* block, size_t shared_memory, char* error, size_t size)
{
    if (!is_valid(grid, block, shared_memory)) {
        snprintf(error, size, "invalid launch configuration");
        return 1;
    }
    Launch launch{};
    launch.body = body;
    launch.arguments = arguments;
    launch.grid = {grid[0], grid[1], grid[2]};
    launch.block = {block[0], block[1], block[2]};
    launch.shared_memory = shared_memory;
    launch.n_blocks = 1ull * grid[0] * grid[1] * grid[2];
    dl_iterate_phdr(find_shared, &launch);
    catch_faults(true);
    if (cudasim_workers <= 1 || launch.n_blocks < 2) work(&launch);
    else {
        std::vector<std::thread> workers;
        for (int i = 0; i < cudasim_workers; ++i) workers.emplace_back(work, &launch);
        for (auto& one : workers) one.join();
    }
    catch_faults(false);
    if (launch.has_failed) snprintf(error, size, "%s", launch.error.c_str());
    return launch.has_failed;
}
