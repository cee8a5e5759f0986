/* The kernel from entry to the first thread, and its three ends: exit, panic, halt. */
#include "processor.h"

enum machine machine;

static const char *const machine_names[] = {
    [HARDWARE] = "hardware",
    [PARTITION] = "a hypervisor",
    [SIMOS] = "SimOS",
    [MAMBO] = "Mambo",
};

/* BootInfo has a word for simulators too, but the boot program itself only knows from these bits, and so do we. */
static enum machine machine_found(u64 entry_msr)
{
    if (entry_msr & MSR_SIMULATOR) {
        return entry_msr & MSR_MAMBO ? MAMBO : SIMOS;
    }
    return bootinfo_has_hypervisor() ? PARTITION : HARDWARE;
}

_Noreturn void kernel_main(u8 *bootinfo, u64 entry_msr)
{
    cpu_block.kernel_msr = MSR_SF | MSR_ISF | MSR_ME | MSR_IR | MSR_DR | MSR_FP | (entry_msr & MSR_HV);
    write_msr(cpu_block.kernel_msr);
    bootinfo_open(bootinfo);
    machine = machine_found(entry_msr);
    install_vectors();
    port_open();
    wire_open();
    console_print("mini: a small PPC64 kernel on %s, %lu MB, timebase %lu Hz\n",
                  machine_names[machine], bootinfo_memory_size() >> 20, bootinfo_timebase_frequency());
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

/* Say goodbye to the debugger, then to the multiplexer; a simulator is told to end, others stop here. (K42 would
 * reboot from a preserved boot image, which needs a boot program to have left one.) */
_Noreturn void kernel_exit(void)
{
    interrupts_off();
    gdb_exit();
    wire_exit();
    if (machine == SIMOS || machine == MAMBO) {
        simulator_exit();
    }
    halt();
}

/* There is no way on from here, but there is a debugger to look around with. */
_Noreturn void panic(const char *why)
{
    interrupts_off();
    emergency_print("panic: %s\n", why);
    print_call_chain((u64)__builtin_frame_address(0));
    for (;;) {
        breakpoint();
    }
}
