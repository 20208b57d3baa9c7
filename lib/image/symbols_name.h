/*
 * symbols_name.h - what people call a symbol: demangled (C++, Rust), and fit to be shown.
 */
#ifndef HARK_IMAGE_SYMBOLS_NAME_H
#define HARK_IMAGE_SYMBOLS_NAME_H

char *symbols_name(const char *linkage);
	/* As c++filt would have it, clones included ("f() [clone .cold]"); a default version ("@@V1") is
	 * left out, "@plt" and other versions stay. What would move a terminal's cursor is '?'. The caller
	 * frees it; NULL: it is the linkage name itself, or there is no memory. */

#endif
