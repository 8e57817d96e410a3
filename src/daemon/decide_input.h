// SPDX-License-Identifier: Apache-2.0
// DecideInput: what `tailgate decide` is given, as OTLP: protobuf, JSON, and the JSON that Jaeger, Tempo and Zipkin
// give to people. What cannot be read is named on standard error and left out. Threads: one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "buffer/offline.h"
#include "wire/otlp/json_read.h"

namespace tailgate {

class DecideInput {
 public:
  explicit DecideInput(OfflineJudge& judge) : judge_(judge) {}

  // `name` is for messages.
  void add(const std::string& name, const std::string& content);

  // False: something was left out, or there was no span at all, which is said here.
  bool finish();

 private:
  void add_lines(const std::string& name, std::string_view text);
  void add_json(const std::string& where, std::string_view text, OtlpFromJson& otlp);
  Result<bool> add_foreign(const std::string& where, std::string_view text);
  // `holds_something`: it should then hold a span.
  void report(const std::string& where, const ScanResult& result, bool holds_something, const std::string& why = {});
  void problem(const std::string& where, std::string_view what);

  OfflineJudge& judge_;
  std::uint64_t spans_ = 0;
  bool all_good_ = true;
};

}  // namespace tailgate
