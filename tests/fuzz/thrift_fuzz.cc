// SPDX-License-Identifier: Apache-2.0
// Jaeger's Thrift: the first byte chooses protocol and envelope. What is taken must parse as OTLP and be no more than
// the room that was granted; skipping must end.
#include <cstddef>
#include <cstdint>

#include "otlp_twin.pb.h"
#include "support/limited_room.h"
#include "wire/jaeger/thrift.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tailgate;
  if (size == 0) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto protocol = (data[0] & 1) != 0 ? ThriftProtocol::kCompact : ThriftProtocol::kBinary;
  test::LimitedRoom room(1 << 20);
  ByteSink out(&room);
  const auto converted =
      (data[0] & 2) != 0 ? jaeger_message_to_otlp(bytes, protocol, out) : jaeger_batch_to_otlp(bytes, protocol, out);
  if (out.size() > (1 << 20) + ByteSink::kFree) __builtin_trap();
  twin::TracesData twin;
  if (converted && !twin.ParseFromArray(out.view().data(), static_cast<int>(out.size()))) __builtin_trap();
  return 0;
}
