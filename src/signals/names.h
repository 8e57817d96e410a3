// SPDX-License-Identifier: Apache-2.0
// Names of spans, and labels as an exposition writes them. Pure functions, any thread.
#pragma once

#include <span>
#include <string>

#include "base/bytes.h"
#include "signals/config.h"

namespace tailgate {

// `name` after each rule in turn.
std::string apply_rules(std::span<const NameRule> rules, ByteView name);

// Whether a name seems to hold an id, so that there may be a series for each request: five digits on end, or eight
// hexadecimal ones with a digit among them.
bool looks_like_id(ByteView name);

inline constexpr std::string_view kOverflowLabels = R"(otel_metric_overflow="true")";

// Appends name="value", after a comma unless `out` is empty. The value is escaped as Prometheus wants it, zeros and
// bytes that are not UTF-8 become '?' (a zero would be the end of the page to its reader), and it is cut after
// kLabelValueMax bytes, before anything of it is read.
inline constexpr std::size_t kLabelValueMax = 1024;
void append_label(std::string& out, ByteView name, ByteView value);
// Appends labels that are written already, after a comma where there is something on both sides of it.
void append_labels(std::string& out, ByteView labels);

}  // namespace tailgate
