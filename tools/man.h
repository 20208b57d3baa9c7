/*
 * man.h - the manual pages, made from the tables.
 */
#ifndef HARK_TOOLS_MAN_H
#define HARK_TOOLS_MAN_H

void man_command(void);
	/* hark(1), in mdoc(7), to standard output */
void man_overview(void);
	/* hark(7) */

#endif
