/* message.h - everything that travels in frames (docs/spec/4-rpc.md). */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "wire/message_agent.h"
#include "wire/message_client.h"
#include "wire/message_exec.h"
#include "wire/message_snapshot.h"
#include "wire/message_usage.h"
#include "wire/rpc.h"

#endif
