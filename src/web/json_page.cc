// SPDX-License-Identifier: Apache-2.0
#include "web/json_page.h"

#include <fmt/format.h>

#include "codec/calendar.h"
#include "codec/json_text.h"

namespace tailgate {
namespace {

namespace json = boost::json;

void append_decimal(std::string& out, double value) {
  std::string text = fmt::format("{:.6f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  out += text;
}

void append(std::string& out, const json::value& value, JsonForm form, std::size_t depth) {
  const bool pretty = form == JsonForm::kPretty;
  const auto line = [&](std::size_t at) {
    if (pretty) out.append("\n").append(2 * at, ' ');
  };
  if (value.is_array()) {
    if (value.get_array().empty()) return void(out += "[]");
    out += '[';
    bool first = true;
    for (const json::value& item : value.get_array()) {
      if (!first) out += ',';
      first = false;
      line(depth + 1);
      append(out, item, form, depth + 1);
    }
    line(depth);
    out += ']';
  } else if (value.is_object()) {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : value.get_object()) {
      if (!first) out += ',';
      first = false;
      line(depth + 1);
      append_json_string(out, {key.data(), key.size()});
      out += pretty ? ": " : ":";
      append(out, member, form, depth + 1);
    }
    if (!first) line(depth);
    out += '}';
  } else if (value.is_string()) {
    append_json_string(out, {value.get_string().data(), value.get_string().size()});
  } else if (value.is_double()) {
    append_decimal(out, value.get_double());
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

void append_json(std::string& out, const json::value& value, JsonForm form) { append(out, value, form, 0); }

Response json_head() {
  Response response;
  response.headers.emplace_back("content-type", "application/json");
  response.headers.emplace_back("x-content-type-options", "nosniff");  // it holds texts from spans
  return response;
}

Response json_response(int status, const json::value& value, JsonForm form) {
  Response response = json_head();
  response.status = status;
  append_json(response.body, value, form);
  response.body += '\n';
  return response;
}

Response json_error(int status, std::string_view text) { return json_response(status, json::object{{"error", text}}); }

std::string_view text_of(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

double number_of(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

std::uint64_t count_of(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  if (value == nullptr || !value->is_number()) return 0;
  boost::system::error_code bad;
  const auto out = value->to_number<std::uint64_t>(bad);
  return bad ? 0 : out;
}

int http_status_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kBadInput:
      return 400;
    case ErrorKind::kRefused:
      return 429;
    case ErrorKind::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

std::string iso_time(std::uint64_t unix_ns) {
  const UtcTime t = utc_time(static_cast<std::int64_t>(unix_ns / 1'000'000'000));
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", t.year, t.month, t.day, t.hour, t.minute, t.second,
                     unix_ns / 1'000'000 % 1'000);
}

std::optional<std::uint64_t> read_iso_time(std::string_view text) {
  bool good = true;
  const auto number = [&](std::size_t digits, std::string_view end) {
    int out = 0;
    for (std::size_t i = 0; i != digits; ++i) {
      good = good && i < text.size() && text[i] >= '0' && text[i] <= '9';
      if (good) out = out * 10 + (text[i] - '0');
    }
    good = good && text.substr(digits).starts_with(end);
    if (good) text.remove_prefix(digits + end.size());
    return out;
  };
  UtcTime t;
  t.year = number(4, "-");
  t.month = number(2, "-");
  t.day = number(2, "T");
  t.hour = number(2, ":");
  t.minute = number(2, ":");
  t.second = number(2, "");
  if (!good || t.month < 1 || t.month > 12 || t.day < 1 || t.day > 31 || t.hour > 23 || t.minute > 59 || t.second > 60)
    return std::nullopt;
  std::int64_t ns = 0, unit = 1'000'000'000;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1))
      ns += (text[0] - '0') * (unit /= 10);
  }
  std::int64_t seconds = unix_seconds(t);
  if (text != "Z" && text != "z") {
    if (!text.starts_with('+') && !text.starts_with('-')) return std::nullopt;
    const int sign = text[0] == '+' ? 1 : -1;
    text.remove_prefix(1);
    const int hours = number(2, ":"), minutes = number(2, "");
    if (!good || !text.empty()) return std::nullopt;
    seconds -= sign * (hours * 3600 + minutes * 60);
  }
  if (seconds < 0 || seconds > INT64_MAX / 1'000'000'000 - 1) return std::nullopt;
  return static_cast<std::uint64_t>(seconds * 1'000'000'000 + ns);
}

}  // namespace tailgate
