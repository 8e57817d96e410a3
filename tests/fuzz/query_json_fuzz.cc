// SPDX-License-Identifier: Apache-2.0
// JSON of Jaeger's and Tempo's query APIs, which `tailgate decide` reads: what is taken must parse as OTLP. Both
// readers get every input.
#include <cstddef>
#include <cstdint>

#include "otlp_twin.pb.h"
#include "wire/jaeger/query_json.h"
#include "wire/otlp/json_read.h"
#include "wire/tempo/json.h"

namespace {

bool parses(tailgate::ByteView otlp) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const std::uint8_t*>(otlp.data()),
                                            static_cast<int>(otlp.size()));
  in.SetRecursionLimit(1000);
  tailgate::twin::TracesData twin;
  return twin.ParseFromCodedStream(&in);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tailgate;
  const ByteView json(reinterpret_cast<const char*>(data), size);
  ByteSink jaeger;
  if (jaeger_query_json_to_otlp(json, jaeger) && !parses(jaeger.view())) __builtin_trap();
  if (const Result<std::string> translated = tempo_json_to_otlp_json(json)) {
    const auto read = otlp_json_to_proto(*translated);
    if (read && !parses(read->bytes)) __builtin_trap();
  }
  return 0;
}
