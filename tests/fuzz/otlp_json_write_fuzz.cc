// Any bytes as OTLP protobuf to JSON: what is written is one line of valid JSON, also when the bytes are not
// well-formed; when they are, our own reader takes the line back.
#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "wire/otlp_json_read.h"
#include "wire/otlp_json_write.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string out;
  const bool good = tailgate::append_otlp_json(out, {reinterpret_cast<const char*>(data), size});
  if (out.find('\n') != std::string::npos) __builtin_trap();
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(out).get(root) != simdjson::SUCCESS) __builtin_trap();
  if (good && !tailgate::otlp_json_to_proto(out)) __builtin_trap();
  return 0;
}
