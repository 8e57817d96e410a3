// SPDX-License-Identifier: Apache-2.0
// Jaeger's api_v2: what libprotobuf takes is taken, and what comes out parses as OTLP with a span for each that went
// in.
#include <cstddef>
#include <cstdint>

#include "jaeger_twin.pb.h"
#include "otlp_twin.pb.h"
#include "support/limited_room.h"
#include "wire/jaeger/proto.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tailgate;
  test::LimitedRoom room(1 << 20);
  ByteSink out(&room);
  const auto converted = jaeger_proto_to_otlp({reinterpret_cast<const char*>(data), size}, out);
  if (out.size() > (1 << 20) + ByteSink::kFree) __builtin_trap();
  twin::jaeger::PostSpansRequest request;
  const bool readable = request.ParseFromArray(data, static_cast<int>(size));
  if (!converted) {
    if (readable && !out.failed()) __builtin_trap();
    return 0;
  }
  twin::TracesData twin;
  if (!twin.ParseFromArray(out.view().data(), static_cast<int>(out.size()))) __builtin_trap();
  int spans = 0;
  for (const auto& r : twin.resource_spans()) {
    for (const auto& s : r.scope_spans()) spans += s.spans_size();
  }
  if (readable && spans != request.batch().spans_size()) __builtin_trap();
  return 0;
}
