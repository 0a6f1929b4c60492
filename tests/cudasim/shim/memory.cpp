// Guarded memory, and what happens when a kernel leaves it.
#include "runtime.hpp"

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <mutex>
#include <ucontext.h>

constexpr unsigned char CANARY = 0xA5;

static std::vector<Region> regions;  // all that is handed out, to name what lies near an address
static std::mutex regions_lock;

std::string format(const char* pattern, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, pattern);
    vsnprintf(text, sizeof text, pattern, arguments);
    va_end(arguments);
    return text;
}

std::string place_of(const Thread& t)
{
    return format("block (%u,%u,%u) thread (%u,%u,%u)", t.bid.x, t.bid.y, t.bid.z, t.tid.x, t.tid.y,
                  t.tid.z);
}

void Launch::fail(const std::string& why)
{
    while (lock.test_and_set()) {}
    if (!has_failed) {
        error = why;
        has_failed = true;
    }
    lock.clear();
}

Region guarded(size_t size, size_t align, const std::string& name)
{
    const size_t pages = (size + PAGE - 1) / PAGE * PAGE, mapped = pages + 2 * PAGE;
    const int access = PROT_READ | PROT_WRITE;
    auto map = static_cast<char*>(mmap(nullptr, mapped, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(map, PAGE, PROT_NONE);
    mprotect(map + PAGE + pages, PAGE, PROT_NONE);
    memset(map + PAGE, CANARY, pages);
    char* low = map + PAGE + (pages - size) / align * align;
    return {low, low + size, map, mapped, name};
}

bool give_back(Region& region)
{
    auto is_written = [](const char* from, const char* to) {
        for (; from < to; ++from)
            if (static_cast<unsigned char>(*from) != CANARY) return true;
        return false;
    };
    const char* end = region.map + region.mapped - PAGE;
    const bool found = is_written(region.map + PAGE, region.low) || is_written(region.high, end);
    munmap(region.map, region.mapped);
    return found;
}

void remember(const Region& region)
{
    std::lock_guard<std::mutex> held(regions_lock);
    regions.push_back(region);
}

void forget(const Region& region)
{
    std::lock_guard<std::mutex> held(regions_lock);
    for (size_t i = 0; i < regions.size(); ++i)
        if (regions[i].map == region.map) {
            regions.erase(regions.begin() + i);
            return;
        }
}

extern "C" void* cudasim_alloc(size_t size, size_t align, const char* name)
{
    const Region region = guarded(size, align, name);
    remember(region);
    return region.low;
}

// Returns 1 if the kernel wrote beside it.
extern "C" int cudasim_free(void* pointer)
{
    for (Region region : regions)
        if (region.low == pointer) {
            forget(region);
            return give_back(region);
        }
    return 2;
}

// --- faults -------------------------------------------------------------------------------------

static unsigned long address_of_instruction(void* context)
{
    auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
#ifdef __x86_64__
    return machine.gregs[REG_RIP];
#elif defined(__aarch64__)
    return machine.pc;
#else
    (void)machine;
    return 0;
#endif
}

static std::string name_of_address(const char* address)
{
    for (auto& fiber : worker->fibers)
        if (address >= fiber->stack && address < fiber->stack + PAGE)
            return "stack overflow (local arrays too large)";
    std::string name = format("illegal address %p", address);
    long nearest = 1l << 40;
    for (const Region& region : regions) {
        const bool is_after = address >= region.high;
        const long distance = is_after ? address - region.high : region.low - address;
        if (distance < 0 || distance >= nearest) continue;
        nearest = distance;
        name = format("illegal address %ld bytes %s '%s'", distance,
                      is_after ? "past the end of" : "before the start of", region.name.c_str());
    }
    return name;
}

static void on_signal(int number, siginfo_t* info, void* context)
{
    if (!worker || !worker->is_armed) {  // not a kernel's
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    std::string what;
    if (number == SIGFPE) what = "integer division by zero";
    else if (number == SIGILL || number == SIGTRAP)
        what = "undefined behaviour (index, overflow, shift, conversion or alignment)";
    else what = name_of_address(static_cast<char*>(info->si_addr));
    what += " in " + place_of(worker->current->thread);
    Dl_info library;
    const unsigned long at = address_of_instruction(context);
    if (dladdr(reinterpret_cast<void*>(at), &library))  // host.py finds the line
        what += format(" @%lx", at - reinterpret_cast<unsigned long>(library.dli_fbase));
    worker->launch->fail(what);
    siglongjmp(worker->crash, 1);
}

void catch_faults(bool on)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    static struct sigaction before[5];
    if (__tsan_create_fiber) return;  // which reports by itself
    struct sigaction ours{};
    ours.sa_sigaction = on_signal;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int i = 0; i < 5; ++i)
        if (on) sigaction(numbers[i], &ours, &before[i]);
        else sigaction(numbers[i], &before[i], nullptr);
}
