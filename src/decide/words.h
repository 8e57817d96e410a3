// SPDX-License-Identifier: Apache-2.0
// The words in which policies say what they saw and what they wanted (Policy::why). Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace tailgate {

// Without an exponent, with `digits` of them behind the leading zeros.
std::string plain_decimal(double value, int digits = 4);

// "0.43, wanted < 0.01". With as many digits as tell them apart.
std::string chance_words(double seen, double below);

// "48 us", "812 ms": nanoseconds below a microsecond, and whole milliseconds, as `latency` compares them.
std::string duration_words(std::int64_t ns);

// An attribute's value, of its KeyValue: texts with quotes, numbers without exponents.
std::string value_words(ByteView key_value);

// `"a", "b" or "c"`. Of long lists and texts the beginning.
std::string any_of_words(const std::vector<std::string>& texts);

// A text as people quote it, cut to some dozens of bytes.
std::string quoted_words(std::string_view text);

// "5 to 9", ">= 5", "<= 9": bounds that both belong to it. The least and greatest number there are mean none.
std::string range_words(std::int64_t min, std::int64_t max);

// "name: words", or the words alone for one without a name.
std::string named_words(std::string_view name, const std::string& words);

// "1 span", "2 spans".
std::string count_words(std::uint64_t count, std::string_view unit);

// Of a rate limit: "52 spans, room in 500 a second", "52 spans, no room left in 500 a second".
std::string limit_words(std::uint64_t cost, std::string_view unit, double rate, double burst, bool had_room);

// Of a part of a policy, the `i`th from 0: "rule slow", "rule 2".
std::string part_words(std::string_view kind, std::string_view name, std::size_t i);
// Of the part that decided: what it saw, and its chance if it has one.
std::string decided_words(std::string_view part, const std::string& saw, const std::string& chance);

// Cut to some hundred bytes, between characters.
std::string cut_words(std::string_view text, std::size_t bytes_max = 400);

}  // namespace tailgate
