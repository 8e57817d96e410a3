// SPDX-License-Identifier: Apache-2.0
#include "head/strategy.h"

#include <bit>
#include <charconv>
#include <cmath>

#include "codec/field_reader.h"
#include "codec/json_text.h"
#include "codec/protobuf.h"
#include "codec/utf8.h"

namespace tailgate {
namespace {

// As Go's encoding/json: without an exponent from 1e-6 to 1e21, else with as few digits in it as there can be.
void append_go_number(std::string& out, double value) {
  char text[512];
  const double size = std::abs(value);
  const bool exponent = size != 0 && (size < 1e-6 || size >= 1e21);
  const auto form = exponent ? std::chars_format::scientific : std::chars_format::fixed;
  const auto end = std::to_chars(text, text + sizeof text, value, form).ptr;
  out.append(text, end);
  const std::size_t at = out.size();
  if (exponent && at >= 4 && out[at - 4] == 'e' && out[at - 2] == '0') out.erase(at - 2, 1);  // e-07 is e-7
}

void append_go_member(std::string& out, std::string_view name, double value) {
  out += '"';
  out += name;
  out += "\":";
  append_go_number(out, value);
}

void append_probabilistic(std::string& out, double probability) {
  out += R"("probabilisticSampling":{)";
  append_go_member(out, "samplingRate", probability);
  out += '}';
}

// proto3 leaves out what is 0.
void append_double(std::string& out, std::uint32_t field, double value) {
  if (value == 0) return;
  pb::append_varint(out, pb::tag_of(field, pb::kFixed64));
  char bytes[8];
  auto bits = std::bit_cast<std::uint64_t>(value);
  for (char& byte : bytes) {
    byte = static_cast<char>(bits & 0xff);
    bits >>= 8;
  }
  out.append(bytes, sizeof bytes);
}

std::string probabilistic_proto(double probability) {
  std::string out;
  append_double(out, 1, probability);
  return out;
}

// Field numbers of api_v2/sampling.proto.
std::string operations_proto(const OperationStrategies& operations) {
  std::string out;
  append_double(out, 1, operations.default_probability);
  append_double(out, 2, operations.lower_bound_traces_per_second);
  for (const OperationStrategy& one : operations.each) {
    std::string entry;
    if (!one.operation.empty()) pb::append_len(entry, 1, to_utf8(one.operation));
    pb::append_len(entry, 2, probabilistic_proto(one.probability));
    pb::append_len(out, 3, entry);
  }
  return out;
}

}  // namespace

std::string strategy_json(const Strategy& strategy) {
  const bool limits = strategy.kind == Strategy::Kind::kRateLimiting;
  std::string out = limits ? R"({"strategyType":"RATE_LIMITING",)" : R"({"strategyType":"PROBABILISTIC",)";
  if (limits) {
    out += R"("rateLimitingSampling":{"maxTracesPerSecond":)";
    append_number(out, strategy.traces_per_second);
    out += '}';
  } else {
    append_probabilistic(out, strategy.probability);
  }
  if (strategy.operations) {
    out += R"(,"operationSampling":{)";
    append_go_member(out, "defaultSamplingProbability", strategy.operations->default_probability);
    out += ',';
    append_go_member(out, "defaultLowerBoundTracesPerSecond", strategy.operations->lower_bound_traces_per_second);
    out += R"(,"perOperationStrategies":[)";
    bool first = true;
    for (const OperationStrategy& one : strategy.operations->each) {
      out += first ? R"({"operation":)" : R"(,{"operation":)";
      first = false;
      append_json_string(out, one.operation, JsonEscapes::kGo);
      out += ',';
      append_probabilistic(out, one.probability);
      out += '}';
    }
    out += R"(],"defaultUpperBoundTracesPerSecond":0})";
  }
  out += '}';
  return out;
}

std::string strategy_proto(const Strategy& strategy) {
  std::string out;
  if (strategy.kind == Strategy::Kind::kRateLimiting) {
    pb::append_varint(out, pb::tag_of(1, pb::kVarint));
    pb::append_varint(out, 1);
    std::string limit;
    if (strategy.traces_per_second != 0) {
      pb::append_varint(limit, pb::tag_of(1, pb::kVarint));
      pb::append_varint(limit, static_cast<std::uint64_t>(strategy.traces_per_second));
    }
    pb::append_len(out, 3, limit);
  } else {
    pb::append_len(out, 2, probabilistic_proto(strategy.probability));
  }
  if (strategy.operations) pb::append_len(out, 4, operations_proto(*strategy.operations));
  return out;
}

Result<std::string> read_strategy_request(ByteView message) {
  std::string service;
  FieldReader fields(message);
  while (fields.next()) {
    if (fields.is_len(1)) service = fields.bytes;  // a field that is repeated counts as the last
  }
  if (!fields.ok()) return fail(ErrorKind::kBadInput, "expected a SamplingStrategyParameters message");
  return service;
}

}  // namespace tailgate
