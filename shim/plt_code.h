/*
 * plt_code.h - numbers that plt*.c and the trampolines in assembly have to agree on.
 */
#ifndef HARK_SHIM_PLT_CODE_H
#define HARK_SHIM_PLT_CODE_H

#define PLT_FUNCTIONS 8192	/* that can be traced in a process */
#define PLT_STUB 16		/* bytes of code for each */
#define PLT_FUNCTION_SHIFT 5	/* sizeof(struct plt_function), as a power of two */
#define PLT_STACKS 4096	/* threads and coroutines at a time whose calls have an exit */
#define PLT_FRAME 24		/* sizeof(struct plt_frame) */

#endif
