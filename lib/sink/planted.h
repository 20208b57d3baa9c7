/*
 * planted.h - names that somebody else may have put in our way: links, files, FIFOs and sockets in a
 * directory where anybody may make some, such as /tmp.
 *
 * The kernel's own protection (fs.protected_symlinks and its kin) is off in some containers, and knows
 * neither sockets nor what is opened without O_CREAT.
 */
#ifndef HARK_SINK_PLANTED_H
#define HARK_SINK_PLANTED_H

#include <stdbool.h>

bool planted_link(const char *path);
	/* Whether the link of that name must not be followed: in a public directory it is neither ours
	 * nor root's nor of whom the directory belongs to. Also where that cannot be told. */
int planted_file(const char *path, int fd);
	/* Of what was opened under that name, no link. 0; -EACCES: in a public directory, of another
	 * owner; -EMLINK: there, a file with a second name, which may be one that we never meant. */
int planted_socket(const char *path);
	/* The same, of a socket that was just connected to. 0, -EACCES, or -ENOENT: it is gone. */

#endif
