// SPDX-License-Identifier: Apache-2.0
// Stored spans on their way to Grafana: with the empty messages they are what protobuf makes of them, and what protobuf
// does not take stays readable to the same degree. Tempo's JSON of them must end.
#include <cstddef>
#include <cstdint>
#include <string>

#include "support/tempo_twin.h"
#include "wire/otlp/json_write.h"
#include "wire/tempo/proto.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tailgate;
  const std::string otlp(reinterpret_cast<const char*>(data), size);
  std::string out;
  append_tempo_proto(out, otlp);
  if (const auto wanted = test::tempo_twin(otlp)) {
    twin::TracesData have;
    if (!have.ParseFromString(out) || !test::same_message(have, *wanted)) __builtin_trap();
  }
  std::string again;
  append_tempo_proto(again, out);
  if (again != out) __builtin_trap();
  std::string json;
  append_tempo_json(json, otlp, "batches");
  if (json.empty() || json.front() != '{' || json.back() != '}') __builtin_trap();
  return 0;
}
