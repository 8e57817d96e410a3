// SPDX-License-Identifier: Apache-2.0
#include "web/params.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/units.h"
#include "codec/percent.h"

namespace tailgate {
namespace {

std::string decoded(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return percent_decoded_leniently(spaced);
}

// What is said of a value that is wrong; values may be long.
std::string_view start_of(std::string_view value) { return value.substr(0, 80); }

// Of a list like "a, b or c", before entry i.
const char* separator(std::size_t i, std::size_t count) { return i == 0 ? "" : i + 1 == count ? " or " : ", "; }

}  // namespace

Params::Params(std::string_view query) {
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    if (params_.size() == kParamsMax) {
      if (error_.empty()) error_ = fmt::format("expected at most {} parameters", kParamsMax);
      return;
    }
    const auto equals = std::min(part.find('='), part.size());
    Param param{decoded(part.substr(0, equals)), decoded(part.substr(std::min(equals + 1, part.size())))};
    if (param.value.size() > kValueMax) {
      fail(param.name, fmt::format("at most {} bytes", kValueMax), fmt::format("{} bytes", param.value.size()));
      param.value.clear();
    }
    params_.push_back(std::move(param));
  }
}

Params::Param* Params::find(std::string_view name) {
  if (std::find(known_.begin(), known_.end(), name) == known_.end()) known_.emplace_back(name);
  Param* first = nullptr;
  for (Param& param : params_) {
    if (param.name != name) continue;
    param.asked = true;
    if (first == nullptr) first = &param;
  }
  return first;
}

bool Params::has(std::string_view name) const {
  return std::any_of(params_.begin(), params_.end(), [&](const Param& p) { return p.name == name; });
}

std::string Params::text(std::string_view name, std::string_view otherwise) {
  const Param* const param = find(name);
  return param != nullptr ? param->value : std::string(otherwise);
}

std::optional<std::string> Params::text_if(std::string_view name) {
  const Param* const param = find(name);
  if (param == nullptr) return std::nullopt;
  return param->value;
}

std::vector<std::string> Params::all(std::string_view name) {
  std::vector<std::string> out;
  if (find(name) == nullptr) return out;
  for (const Param& param : params_) {
    if (param.name == name) out.push_back(param.value);
  }
  return out;
}

std::uint64_t Params::number(std::string_view name, std::uint64_t otherwise, std::uint64_t min, std::uint64_t max) {
  const Param* const param = find(name);
  if (param == nullptr || param->value.empty()) return otherwise;
  const std::string& value = param->value;
  std::uint64_t out = 0;
  const auto [p, error] = std::from_chars(value.data(), value.data() + value.size(), out);
  if (error == std::errc() && p == value.data() + value.size() && out >= min && out <= max) return out;
  fail(name, fmt::format("{} to {}", min, max), value);
  return otherwise;
}

std::string Params::choice(std::string_view name, std::string_view otherwise,
                           const std::vector<std::string_view>& choices) {
  const Param* const param = find(name);
  if (param == nullptr || param->value.empty()) return std::string(otherwise);
  if (std::find(choices.begin(), choices.end(), param->value) != choices.end()) return param->value;
  std::string wanted;
  for (std::size_t i = 0; i < choices.size(); ++i) wanted += separator(i, choices.size()) + std::string(choices[i]);
  fail(name, wanted, param->value);
  return std::string(otherwise);
}

std::optional<std::uint64_t> Params::duration_ns(std::string_view name) {
  const Param* const param = find(name);
  if (param == nullptr || param->value.empty()) return std::nullopt;
  const std::optional<Duration> duration = parse_duration(param->value);
  if (duration && *duration >= Duration::zero())
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(*duration).count());
  fail(name, "a duration like 1.5s or 300ms", param->value);
  return std::nullopt;
}

bool Params::flag(std::string_view name) {
  const Param* const param = find(name);
  if (param == nullptr) return false;
  const std::string& value = param->value;
  if (value.empty() || value == "true" || value == "1") return true;
  if (value != "false" && value != "0") fail(name, "true or false", value);
  return false;
}

void Params::fail(std::string_view name, std::string_view wanted, std::string_view got) {
  if (error_.empty()) error_ = fmt::format("{}: expected {}, got '{}'", name, wanted, start_of(got));
}

Result<TraceId> read_trace_id(std::string_view text) {
  if (const std::optional<TraceId> id = TraceId::from_short_hex(percent_decoded_leniently(text))) return *id;
  return fail(ErrorKind::kBadInput,
              fmt::format("expected a trace id of 1 to 32 hex digits, not zero, got '{}'", start_of(text)));
}

Result<void> Params::finish() const {
  if (!error_.empty()) return tailgate::fail(ErrorKind::kBadInput, error_);
  for (const Param& param : params_) {
    if (param.asked) continue;
    std::string names;
    for (std::size_t i = 0; i < known_.size(); ++i) names += separator(i, known_.size()) + known_[i];
    return tailgate::fail(ErrorKind::kBadInput, fmt::format("expected {}, got '{}'", names, start_of(param.name)));
  }
  return {};
}

}  // namespace tailgate
