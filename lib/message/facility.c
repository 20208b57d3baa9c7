/*
 * facility.c - the names of syslog's facilities.
 *
 * Called by the formats. 12 to 15 have no name in <syslog.h>; theirs follow RFC 5424's table.
 */
#include "lib/message/message.h"

static const char names[24][9] = {
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news",
	"uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"
};

const char *facility_name(int facility)
{
	return facility >= 0 && facility < 24 ? names[facility] : NULL;
}
