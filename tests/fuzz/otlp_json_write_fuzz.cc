// SPDX-License-Identifier: Apache-2.0
// Any bytes as OTLP protobuf to JSON: what is written is one line of valid JSON, also when the bytes are not
// well-formed; when they are, our own reader takes the line back. Where the limits leave nothing out, they change
// nothing. Zipkin's and Jaeger's writers read any bytes.
#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "wire/jaeger/json.h"
#include "wire/otlp/json_read.h"
#include "wire/otlp/json_write.h"
#include "wire/zipkin/json_write.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const tailgate::ByteView bytes(reinterpret_cast<const char*>(data), size);
  std::string out, limited;
  const bool good = tailgate::append_otlp_json(out, bytes);
  tailgate::CutItems cut;
  tailgate::append_otlp_json(limited, bytes, &cut);
  if (cut.all() == 0 && limited != out) __builtin_trap();
  tailgate::each_zipkin_span(
      bytes, [](std::string_view) {}, &cut);
  tailgate::each_jaeger_document(
      bytes, [](const tailgate::JaegerDocument&) {}, &cut);
  if (out.find('\n') != std::string::npos) __builtin_trap();
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(out).get(root) != simdjson::SUCCESS) __builtin_trap();
  if (good && !tailgate::otlp_json_to_proto(out)) __builtin_trap();
  return 0;
}
