// What the parts of the runtime share: CUDA threads as fibers, blocks as work for OS threads.
#pragma once
#include <atomic>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <sys/mman.h>
#include <vector>

#ifndef __x86_64__
#include <ucontext.h>
#endif

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
};
// What a CUDA thread knows of itself; laid out as in cudasim.hpp.
struct Thread {
    uint3 tid, bid;
    dim3 bdim, gdim;
    unsigned linear;
};

constexpr size_t PAGE = 4096;
constexpr unsigned WARP = 32;

extern "C" {
// Settings, written from Python.
extern int cudasim_workers, cudasim_order, cudasim_poison;
extern unsigned cudasim_seed;
extern size_t cudasim_stack;
extern __attribute__((tls_model("initial-exec"))) thread_local Thread* cudasim_cur;

// Hooks of ThreadSanitizer, null unless it is loaded.
#define WEAK __attribute__((weak))
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
}

// Orders of the threads of a block; see cudasim.host.ORDERS.
enum Order { FORWARD, REVERSE, RANDOM };

// ThreadSanitizer must not look at what the runtime itself does.
struct Quiet {
    Quiet()
    {
        if (!AnnotateIgnoreReadsBegin) return;
        AnnotateIgnoreReadsBegin("", 0);
        AnnotateIgnoreWritesBegin("", 0);
    }
    ~Quiet()
    {
        if (!AnnotateIgnoreReadsEnd) return;
        AnnotateIgnoreReadsEnd("", 0);
        AnnotateIgnoreWritesEnd("", 0);
    }
};

// A place to go on from: a stack, and the registers that a call must keep.
struct Context {
#ifdef __x86_64__
    void* sp = nullptr;
#else
    ucontext_t saved;
#endif
    void make(char* low, size_t size, void (*function)());
    static void swap(Context& from, Context& to);
};

enum Wait { RUNNING, READY, AT_BARRIER, IN_WARP, DONE };

// A stack on which CUDA threads run: one after the other, as long as none of them waits.
struct Fiber {
    Context context;
    char* stack = nullptr;
    size_t size = 0;
    void* tsan = nullptr;
    Thread thread{};
    Wait wait = DONE;
    const char* file = "";
    int line = 0, predicate = 0;
};

// An operation of a warp that is under way.
struct Collective {
    unsigned mask = 0, arrived = 0, left = 0;
    int line = 0, operation = 0;
    uint64_t values[WARP];
    bool is_complete = false;
};

// One launch of a kernel.
struct Launch {
    void (*body)(void*);
    void* arguments;
    dim3 grid, block;
    size_t shared_memory;
    // Where the static __shared__ variables of the kernel's library are: see find_shared.
    size_t tls_module = 0, tls_size = 0;
    unsigned long long n_blocks;
    std::atomic<unsigned long long> next{0};
    std::atomic<bool> has_failed{false};
    std::atomic_flag lock = ATOMIC_FLAG_INIT;
    std::string error;

    unsigned n_threads() const { return block.x * block.y * block.z; }
    void fail(const std::string& why);  // the first reason is kept
};

// Memory that ends at a page which cannot be touched.
struct Region {
    char *low, *high, *map;
    size_t mapped;
    std::string name;
};

// An OS thread: runs one block at a time.
struct Worker {
    explicit Worker(Launch* launch);
    ~Worker();
    void run();

    Launch* launch;
    Context main;
    void* main_tsan = nullptr;
    std::vector<std::unique_ptr<Fiber>> fibers;  // all of them
    std::vector<Fiber*> idle, blocked;
    Fiber* current = nullptr;

    // The block that runs.
    uint3 block{};
    std::vector<unsigned> order;  // in which its threads start
    unsigned n_threads = 0, n_started = 0, n_done = 0;
    unsigned slow_warp = ~0u;  // lags behind in the random order
    int barrier_count = 0;
    std::vector<unsigned> exited;  // lanes that are gone, by warp
    std::vector<std::vector<Collective*>> collectives;  // by warp
    std::mt19937 random;

    Region shared;  // dynamic shared memory

    // Addresses that stand for an order in time. Barriers take two in turn: a thread that still
    // leaves one must not see what another releases on reaching the next.
    char barrier_tags[2]{}, begin_tag = 0, end_tag = 0;
    unsigned phase = 0;

    sigjmp_buf crash;  // where an illegal address leads
    volatile bool is_armed = false;

private:
    void run_block(unsigned long long number);
    void prepare_block(unsigned long long number);
    void poison_shared_memory();
    void start_threads();
    bool open_barrier();  // returns false if the block cannot go on
    void resume(std::vector<Fiber*>& ready);
    void switch_to(Fiber* fiber);
    Fiber* new_fiber();
    void drop_fiber(Fiber* fiber);
};

extern thread_local Worker* worker;

// scheduling.cpp
void start_next_thread(Fiber* fiber);
void to_main();
void check_collectives(unsigned warp);

// memory.cpp
Region guarded(size_t size, size_t align, const std::string& name);
bool give_back(Region& region);  // returns whether the slack was written
void remember(const Region& region);
void forget(const Region& region);
void catch_faults(bool on);

// text
std::string format(const char* pattern, ...);
std::string place_of(const Thread& thread);
