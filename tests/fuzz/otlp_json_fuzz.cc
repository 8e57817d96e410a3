// SPDX-License-Identifier: Apache-2.0
// OTLP/JSON: whatever is read must come out as protobuf of no more bytes than went in (or than the repaired JSON has),
// and parse again as such (the generated parser stops at a nesting of 100, the reader at 64 values, which is deeper:
// nothing is asked of those).
#include <cstddef>
#include <cstdint>

#include "codec/json_repair.h"
#include "otlp_twin.pb.h"
#include "wire/otlp/json_read.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const tailgate::ByteView json(reinterpret_cast<const char*>(data), size);
  const auto read = tailgate::otlp_json_to_proto(json);
  if (!read) return 0;
  const std::string& bytes = read->bytes;
  if (bytes.size() > (read->repaired_texts != 0 ? tailgate::json_repair_of(json).size : size)) __builtin_trap();
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  in.SetRecursionLimit(1000);
  tailgate::twin::TracesData twin;
  if (!twin.ParseFromCodedStream(&in)) __builtin_trap();
  return 0;
}
