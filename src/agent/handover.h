/* handover.h - one descriptor through a SOCK_SEQPACKET, with one byte: a shim's to who makes its
 * container. */
#ifndef AGENT_HANDOVER_H
#define AGENT_HANDOVER_H

/* -1 and errno; a peer that is gone is no signal. */
int handover_send(int socket, int fd);

/* Waits for one, which is closed on exec.  -1 and errno: ECONNRESET if none will come. */
int handover_receive(int socket);

#endif
