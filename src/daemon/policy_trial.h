// SPDX-License-Identifier: Apache-2.0
// Policies that are tried on stored traces: the text of a person becomes a set of policies of its own, beside the live
// one. Threads: any.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "buffer/trace_buffer.h"
#include "web/try_page.h"

namespace tailgate {

// `form`: "policy" is YAML as under `policies:`, one policy or a list; "span" and "trace" are conditions of an
// ottl_condition and of a trace policy. The text comes from a stranger: environment variables are not replaced, no
// file is read. `limits` are the daemon's.
Result<std::unique_ptr<PolicyTrial>> make_policy_trial(std::string_view form, const std::string& text,
                                                       const BufferLimits& limits);

}  // namespace tailgate
