/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scsi/sg.h of the C library, with what it lacks of the kernel's include/scsi/sg.h. A machine whose header has it checks the table against
 * that, and so confirms what is written here.
 */
#include <scsi/sg.h>

#ifndef SG_SCSI_RESET_NO_ESCALATE
#define SG_SCSI_RESET_NO_ESCALATE 0x100
#endif
