// SPDX-License-Identifier: Apache-2.0
// Params: the keys and values of a query string, each read once with its type and bounds. Whoever reads asks for what
// it knows; unknown keys are errors, or are left alone where other people's programs ask (finish is not called).
//
//   Params params(head.query());
//   const std::uint64_t limit = params.number("limit", 20, 1, 1000);
//   const std::string service = params.text("service");
//   if (Result<void> good = params.finish(); !good) return json_error(400, good.error().text);
//
// The first error stays. Pure; belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/ids.h"

namespace tailgate {

class Params {
 public:
  static constexpr std::size_t kParamsMax = 100;
  static constexpr std::size_t kValueMax = 128 << 10;

  // %XX and '+' are decoded; a '%' without two hex digits stays.
  explicit Params(std::string_view query);

  // Names are tried in turn, so that a new and an old spelling can be given. Of several equal keys the first counts.
  bool has(std::string_view name) const;
  std::string text(std::string_view name, std::string_view otherwise = {});
  std::optional<std::string> text_if(std::string_view name);
  std::vector<std::string> all(std::string_view name);
  // An empty value counts as absent, likewise of a choice.
  std::uint64_t number(std::string_view name, std::uint64_t otherwise, std::uint64_t min, std::uint64_t max);
  std::string choice(std::string_view name, std::string_view otherwise, const std::vector<std::string_view>& choices);
  // Go's form, "1.5s" or "1h2m", in nanoseconds; nothing when absent or empty.
  std::optional<std::uint64_t> duration_ns(std::string_view name);
  // True for "", "true" and "1".
  bool flag(std::string_view name);

  void fail(std::string_view name, std::string_view wanted, std::string_view got);
  bool good() const { return error_.empty(); }
  const std::string& error() const { return error_; }
  // The error: the first, or the first key that nobody has asked for.
  Result<void> finish() const;

 private:
  struct Param {
    std::string name, value;
    bool asked = false;
  };
  Param* find(std::string_view name);

  std::vector<Param> params_;
  std::vector<std::string> known_;  // names that were asked for
  std::string error_;
};

// A trace id as people and their tools give one, in a path or a parameter: TraceId::from_short_hex.
Result<TraceId> read_trace_id(std::string_view text);

}  // namespace tailgate
