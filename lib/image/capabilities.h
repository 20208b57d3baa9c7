/*
 * capabilities.h - file capabilities: the rights that a file gives to whoever executes it.
 */
#ifndef HARK_IMAGE_CAPABILITIES_H
#define HARK_IMAGE_CAPABILITIES_H

#include <stdbool.h>
#include <stddef.h>

enum { CAPABILITIES_TEXT = 1024 };

bool capabilities_read(const char *path, char text[CAPABILITIES_TEXT]);
	/* "cap_net_raw,cap_net_admin=ep", as getcap(8) writes it. false: it has none, or they are not to be
	 * seen; text is "". */

#endif
