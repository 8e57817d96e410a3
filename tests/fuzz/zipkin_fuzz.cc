// SPDX-License-Identifier: Apache-2.0
// Zipkin: JSON if it begins with a bracket or a blank, protobuf otherwise. What is taken must parse as OTLP and be no
// more than the room that was granted.
#include <cstddef>
#include <cstdint>

#include "otlp_twin.pb.h"
#include "support/limited_room.h"
#include "wire/zipkin/zipkin.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tailgate;
  if (size == 0) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  const bool json = data[0] == '[' || data[0] == ' ';
  for (const bool typed : {false, true}) {
    test::LimitedRoom room(1 << 20);
    ByteSink out(&room);
    const auto converted = json ? zipkin_json_to_otlp(bytes, {typed}, out) : zipkin_proto_to_otlp(bytes, {typed}, out);
    if (out.size() > (1 << 20) + ByteSink::kFree) __builtin_trap();
    twin::TracesData twin;
    if (converted && !twin.ParseFromArray(out.view().data(), static_cast<int>(out.size()))) __builtin_trap();
  }
  return 0;
}
