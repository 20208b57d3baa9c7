/*
 * level.h - severities, numbered as in syslog(3): 0 emerg … 7 debug.
 */
#ifndef HARK_BASE_LEVEL_H
#define HARK_BASE_LEVEL_H

enum level {
	LEVEL_EMERG, LEVEL_ALERT, LEVEL_CRIT, LEVEL_ERROR,
	LEVEL_WARNING, LEVEL_NOTICE, LEVEL_INFO, LEVEL_DEBUG,
	LEVEL_NR,
	LEVEL_NONE = -1 /* as a threshold: nothing passes */
};

const char *level_name(enum level level);
	/* "emerg" "alert" "crit" "error" "warning" "notice" "info" "debug" */
int level_parse(const char *word, enum level *level);
	/* those names, syslog's synonyms (err, warn, panic, critical, emergency, fatal), and the presets
	 * verbose (debug), regular (info), quiet (warning), none. Letter case is ignored. 0 or -EINVAL. */

#endif
