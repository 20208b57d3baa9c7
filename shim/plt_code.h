/*
 * plt_code.h - numbers that plt*.c and the trampolines in assembly have to agree on.
 */
#ifndef HARK_SHIM_PLT_CODE_H
#define HARK_SHIM_PLT_CODE_H

#define PLT_FUNCTIONS 8192	/* that can be traced in a process */
#define PLT_STUB 16		/* bytes of code for each */
#define PLT_FUNCTION_SHIFT 5	/* sizeof(struct plt_function), as a power of two */
#define PLT_STACKS 4096	/* threads and coroutines at a time whose calls have an exit */

/* sizeof(struct plt_frame); and how far from the slot, and in which steps, arguments are kept, and the
 * result is */
#if defined(__aarch64__)
#define PLT_FRAME 32
#define PLT_ARGUMENT -104
#define PLT_ARGUMENT_STEP 8
#define PLT_RESULT -104
#else
#define PLT_FRAME 24
#define PLT_ARGUMENT -16
#define PLT_ARGUMENT_STEP -8
#define PLT_RESULT -8
#endif

#endif
