/*
 * symbols_read.h - what the sections of a file say about its functions, entered into a table.
 *
 * For symbols.c. Each returns how many entries it made, or -ENOMEM; what is torn or nonsense has none.
 * None of them orders the table, but symbols_read_plt() needs one that is in order.
 */
#ifndef HARK_IMAGE_SYMBOLS_READ_H
#define HARK_IMAGE_SYMBOLS_READ_H

#include "lib/image/symbols_file.h"
#include "lib/image/symbols_table.h"

#define SYMBOLS_MAP_END (UINT64_C(1) << 62) /* no address of a program's */
enum { SYMBOLS_MAP_MOST = 64 << 20 };

int symbols_read_names(struct symbols_table *table, const struct symbols_file *file,
		       uint32_t type, uint64_t base);
	/* type: SHT_SYMTAB or SHT_DYNSYM. base: of the module that the file is about. Functions, and
	 * labels that others see; no mapping symbols of ARM and RISC-V. */
int symbols_read_unwind(struct symbols_table *table, const struct symbols_file *file);
	/* where the functions of .eh_frame begin and how long they are, without names */
int symbols_read_go(struct symbols_table *table, const struct symbols_file *file);
	/* the functions of a program that Go has built, 1.18 or later, by the table that its runtime has */
int symbols_read_start(struct symbols_table *table, const struct symbols_file *file);
	/* "_start" and "main", of programs for glibc on x86_64, where nothing else names them */
int symbols_read_map(struct symbols_table *table, int fd);
	/* of code that was made at run time: addresses for offsets. Of several at one address the last. */
int symbols_read_plt(struct symbols_table *table, const struct symbols_file *file);
	/* the stubs through which other modules are called: "puts@plt" */

#endif
