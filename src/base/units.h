// SPDX-License-Identifier: Apache-2.0
// Durations and sizes as people write them in YAML.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace tailgate {

inline constexpr std::size_t kMiB = 1 << 20;

// Go's form, as the Collector reads it: "200ms", "5s", "1h30m", "1.5s", "-2s"; units ns us µs ms s m h; "0" needs none.
// Empty on anything else and on overflow.
std::optional<Duration> parse_duration(std::string_view text);

// "512MiB", "64KB", "1GiB", "4096": B, KB MB GB (1000), KiB MiB GiB (1024), any case, an optional space before the
// unit.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

std::string format_duration(Duration d);        // "1.5s", "200ms", "0s"
std::string format_bytes(std::uint64_t bytes);  // "512MiB", "1.5KiB", "17B"

}  // namespace tailgate
