/*
 * capabilities.c - see capabilities.h. Called by `hark inspect`.
 */
#include "lib/image/capabilities.h"

#include <endian.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/xattr.h>

#include "lib/base/text.h"

/* by number, as capabilities(7) lists them */
static const char *const names[] = {
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
	"setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw",
	"ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct",
	"sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
	"lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
	"wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
};

static void put_name(struct text *t, unsigned number)
{
	if (t->len)
		text_char(t, ',');
	text_str(t, "cap_");
	if (number < sizeof names / sizeof *names)
		text_str(t, names[number]);
	else
		text_u64(t, number);
}

bool capabilities_read(const char *path, char text[CAPABILITIES_TEXT])
{
	uint32_t words[1 + 4 + 1] = { 0 }; /* vfs_ns_cap_data, the longest */
	struct text t = text_in(text, CAPABILITIES_TEXT);
	ssize_t bytes = getxattr(path, "security.capability", words, sizeof words);

	*text = '\0';
	if (bytes < (ssize_t)(3 * sizeof *words))
		return false;
	uint32_t magic = le32toh(words[0]);
	unsigned halves = (magic & VFS_CAP_REVISION_MASK) == VFS_CAP_REVISION_1 ? 1 : 2;
	bool permitted = false, inheritable = false;
	for (unsigned i = 0; i < 32 * halves; i++) {
		uint32_t bit = UINT32_C(1) << i % 32;
		bool p = le32toh(words[1 + i / 32 * 2]) & bit;
		bool in = le32toh(words[2 + i / 32 * 2]) & bit;
		if (p || in)
			put_name(&t, i);
		permitted = permitted || p;
		inheritable = inheritable || in;
	}
	text_char(&t, '=');
	text_str(&t, magic & VFS_CAP_FLAGS_EFFECTIVE ? "e" : "");
	text_str(&t, inheritable ? "i" : "");
	text_str(&t, permitted ? "p" : "");
	text_cstr(&t);
	return t.len > 1;
}
