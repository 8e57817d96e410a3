// SPDX-License-Identifier: Apache-2.0
// Jaeger's Thrift (jaeger.thrift, agent.thrift) to OTLP: the Batch of the HTTP endpoint and the emitBatch message of
// the UDP agent, in the binary and the compact protocol. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "codec/byte_sink.h"

namespace tailgate {

enum class ThriftProtocol { kBinary, kCompact };

// Spans that a client has lost since it started.
struct JaegerClientLost {
  std::int64_t full_queue = 0, too_large = 0, failed_to_emit = 0;
};

// What a batch tells about the client that sent it. Views into the request.
struct JaegerClient {
  ByteView service_name;
  ByteView uuid;                       // tag client-uuid of the process: one per client object
  std::optional<std::int64_t> seq_no;  // counts this client's batches
  std::optional<JaegerClientLost> lost;
};

// Appends the ExportTraceServiceRequest to `out`. Errors as jaeger_proto_to_otlp.
Result<JaegerClient> jaeger_batch_to_otlp(ByteView batch, ThriftProtocol protocol, ByteSink& out);
Result<JaegerClient> jaeger_message_to_otlp(ByteView datagram, ThriftProtocol protocol, ByteSink& out);

}  // namespace tailgate
