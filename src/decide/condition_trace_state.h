// The W3C trace state of a span, read as contrib does (OpenTelemetry Go's trace.ParseTraceState; W3C Trace
// Context 3.3). Pure; any thread.
#pragma once

#include <optional>
#include <string_view>

namespace tailgate {

// The value of `key`, "" when the state has no such key; nothing when the whole is malformed: a bad member, a key
// twice, more than 32 members. Empty members and blanks around members are let pass.
std::optional<std::string_view> trace_state_value(std::string_view trace_state, std::string_view key);

}  // namespace tailgate
