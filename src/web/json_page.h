// SPDX-License-Identifier: Apache-2.0
// JSON answers of the daemon's own pages. Pure; any thread.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http/http.h"

namespace tailgate {

enum class JsonForm : std::uint8_t { kCompact, kPretty };

// Appends `value`. Texts may be any bytes: those from outside, or cut in the middle of a character. Numbers have no
// exponent (Boost.JSON's own writer makes 1E-2 of 0.01, which people misread).
void append_json(std::string& out, const boost::json::value& value, JsonForm form);

// 200 with the type of JSON and no body yet: of an answer that is written in pieces.
Response json_head();
Response json_response(int status, const boost::json::value& value, JsonForm form = JsonForm::kCompact);

using ErrorPage = Response (*)(int status, std::string_view text);  // an error in the form that an API has for it
Response json_error(int status, std::string_view text);

// What a JSON object has under `key`; "" or 0 where that is not there or is something else.
std::string_view text_of(const boost::json::object& object, std::string_view key);
double number_of(const boost::json::object& object, std::string_view key);
std::uint64_t count_of(const boost::json::object& object, std::string_view key);  // a whole number

// Of an answer that an error stands in the way of.
int http_status_of(const Error& error);

// "2026-11-29T09:31:03.120Z"
std::string iso_time(std::uint64_t unix_ns);
// Likewise read, with any fraction, and Z or an offset (RFC 3339); nothing when it is no such time, or before 1970.
std::optional<std::uint64_t> read_iso_time(std::string_view text);

}  // namespace tailgate
