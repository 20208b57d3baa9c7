/*
 * plt_reads.c - what code does with slots that it reads by their distance: whether it calls and jumps by
 * them, or takes addresses from them.
 */
#include "shim/plt.h"

#include <string.h>

static void count_use(struct plt_read *reads, uint32_t count, uintptr_t slot, const uint8_t *at)
{
	for (uint32_t i = 0; i < count; i++) {
		if (reads[i].slot != slot)
			continue;
		if (at[-2] == 0xff && (at[-1] == 0x15 || at[-1] == 0x25)) /* call, jmp *slot(%rip) */
			reads[i].calls++;
		else
			reads[i].others++;
	}
}

void plt_reads(uintptr_t code, uintptr_t end, struct plt_read *reads, uint32_t count)
{
	uintptr_t lowest = UINTPTR_MAX, highest = 0;

	for (uint32_t i = 0; i < count; i++) {
		lowest = reads[i].slot < lowest ? reads[i].slot : lowest;
		highest = reads[i].slot > highest ? reads[i].slot : highest;
	}
	for (const uint8_t *at = (const uint8_t *)code + 2; at + 4 <= (const uint8_t *)end; at++) {
		int32_t distance;
		memcpy(&distance, at, sizeof distance);
		uintptr_t slot = (uintptr_t)at + 4 + (uintptr_t)(intptr_t)distance;
		if (__builtin_expect(slot - lowest <= highest - lowest, 0))
			count_use(reads, count, slot, at);
	}
}
