/*
 * cmds.h - a function for each row of cmds.def.
 */
#ifndef HARK_TOOLS_CMDS_H
#define HARK_TOOLS_CMDS_H

#include "tools/cli.h"

#define CMD(name, arguments, doc, shown, settings) int cmd_##name(struct cli *cli);
#include "tools/cmds.def"

#endif
