/* The kernel from entry to the first thread, and its three ends: exit, panic, halt. */
#include "processor.h"

enum machine machine;

/* BootInfo says so too, but the boot program itself only knows from these bits, and so do we. */
static enum machine machine_from_msr(u64 msr)
{
    if (!(msr & MSR_SIMULATOR)) {
        return HARDWARE;
    }
    return msr & MSR_MAMBO ? MAMBO : SIMOS;
}

_Noreturn void kernel_main(u8 *bootinfo, u64 entry_msr)
{
    machine = machine_from_msr(entry_msr);
    cpu_block.kernel_msr = MSR_SF | MSR_ISF | MSR_ME | MSR_IR | MSR_DR | MSR_FP | (entry_msr & MSR_HV);
    write_msr(cpu_block.kernel_msr);
    bootinfo_open(bootinfo);
    install_vectors();
    port_open();
    wire_open();
    console_print("mini: a small PPC64 kernel on %s, %lu MB, timebase %lu Hz\n",
                  machine == HARDWARE ? "hardware" : machine == MAMBO ? "Mambo" : "SimOS",
                  bootinfo_memory_size() >> 20, bootinfo_timebase_frequency());
    const char *early = boot_parameter("K42_EARLY_BREAKPOINT");
    if (early != NULL && strcmp(early, "1") == 0) {
        breakpoint();
    }
    clock_start();
    threads_start();
    halt(); /* not reached: the first thread has the processor now */
}

_Noreturn void halt(void)
{
    interrupts_off();
    idle_loop();
}

/* Say goodbye to the debugger, then to the multiplexer; a simulator is told to end, hardware stops here. (K42 would
 * reboot from a preserved boot image, which needs a boot program to have left one.) */
_Noreturn void kernel_exit(void)
{
    interrupts_off();
    gdb_exit();
    wire_exit();
    if (machine != HARDWARE) {
        simulator_exit();
    }
    halt();
}

/* There is no way on from here, but there is a debugger to look around with. */
_Noreturn void panic(const char *why)
{
    interrupts_off();
    emergency_print("panic: %s\n", why);
    for (;;) {
        breakpoint();
    }
}
