// Fibers: stacks that are switched without the system's help.
#include "runtime.hpp"

#ifdef __x86_64__
// Keeps the registers that a call must keep on the old stack, and goes on with the new one.
asm(R"(
.text
.type cudasim_switch,@function
cudasim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size cudasim_switch,.-cudasim_switch
)");
extern "C" void cudasim_switch(void** save, void* to);

void Context::make(char* low, size_t size, void (*function)())
{
    constexpr int kept_registers = 6;
    auto top = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(low + size) & ~15ul);
    *--top = nullptr;  // the function never returns
    *--top = reinterpret_cast<void*>(function);
    for (int i = 0; i < kept_registers; ++i) *--top = nullptr;
    sp = top;
}

void Context::swap(Context& from, Context& to) { cudasim_switch(&from.sp, to.sp); }
#else
void Context::make(char* low, size_t size, void (*function)())
{
    getcontext(&saved);
    saved.uc_stack.ss_sp = low;
    saved.uc_stack.ss_size = size;
    saved.uc_link = nullptr;
    makecontext(&saved, function, 0);
}

void Context::swap(Context& from, Context& to) { swapcontext(&from.saved, &to.saved); }
#endif

static void finish_thread(Fiber* fiber)
{
    const unsigned warp = fiber->thread.linear / WARP;
    ++worker->n_done;
    worker->exited[warp] |= 1u << fiber->thread.linear % WARP;
    check_collectives(warp);
    fiber->wait = DONE;
}

static void run_threads()
{
    for (;;) {
        Fiber* fiber = worker->current;
        Launch* launch = worker->launch;
        cudasim_cur = &fiber->thread;
        if (__tsan_acquire) __tsan_acquire(&worker->begin_tag);
        launch->body(launch->arguments);
        if (__tsan_release) __tsan_release(&worker->end_tag);
        {
            Quiet quiet;
            finish_thread(fiber);
        }
        // Without ThreadSanitizer the same stack goes on with the next thread.
        const bool is_last = worker->n_started == worker->n_threads;
        if (!__tsan_switch_to_fiber && !is_last && !launch->has_failed) {
            start_next_thread(fiber);
            continue;
        }
        to_main();
    }
}

static void map_stack(Fiber* fiber, int more_flags)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | more_flags;
    const int access = PROT_READ | PROT_WRITE;
    fiber->stack = static_cast<char*>(mmap(fiber->stack, fiber->size, access, flags, -1, 0));
    mprotect(fiber->stack, PAGE, PROT_NONE);  // where a stack that is too small ends
    fiber->context.make(fiber->stack + PAGE, fiber->size - PAGE, run_threads);
}

Fiber* Worker::new_fiber()
{
    Fiber* fiber;
    if (!idle.empty()) {
        fiber = idle.back();
        idle.pop_back();
    } else {
        fibers.emplace_back(new Fiber);
        fiber = fibers.back().get();
        fiber->size = cudasim_stack + PAGE;
        map_stack(fiber, 0);
    }
    if (__tsan_create_fiber) fiber->tsan = __tsan_create_fiber(0);
    return fiber;
}

// A fiber whose CUDA thread has ended.
void Worker::drop_fiber(Fiber* fiber)
{
    if (__tsan_destroy_fiber) {
        __tsan_destroy_fiber(fiber->tsan);
        mprotect(fiber->stack, PAGE, PROT_READ | PROT_WRITE);
        map_stack(fiber, MAP_FIXED);  // afresh: no false races on a stack that is used again
    }
    idle.push_back(fiber);
}

void Worker::switch_to(Fiber* fiber)
{
    current = fiber;
    // Flag 1: switching says nothing of what happens before what.
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(fiber->tsan, 1);
    Context::swap(main, fiber->context);
}

void to_main()
{
    Fiber* fiber = worker->current;
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(worker->main_tsan, 1);
    Context::swap(fiber->context, worker->main);
    cudasim_cur = &worker->current->thread;
}
