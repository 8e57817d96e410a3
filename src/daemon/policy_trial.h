// SPDX-License-Identifier: Apache-2.0
// Policies that are tried on stored traces, or on what a journal has of a time: the text of a person becomes a set of
// policies of its own, beside the live one. Threads: any.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "buffer/trace_buffer.h"
#include "daemon/journal/past_run.h"
#include "web/try_page.h"

namespace tailgate {

// `form`: "policy" is YAML as under `policies:`, one policy or a list; "span" and "trace" are conditions of an
// ottl_condition and of a trace policy. The text comes from a stranger: environment variables are not replaced, no
// file is read. `limits` are the daemon's.
Result<std::unique_ptr<PolicyTrial>> make_policy_trial(std::string_view form, const std::string& text,
                                                       const BufferLimits& limits);

// Judges a time of a journal, and reads from its verdicts what was kept of it then. Of these, `kept_max` traces are
// remembered. `options.taken` is its own.
Result<PastTried> try_past(PastRunOptions options, const PolicySetPtr& policies, PolicyTables& tables,
                           std::size_t kept_max = SIZE_MAX);

// Likewise, with policies as for make_policy_trial(). Holds some `memory` bytes; the other options are the caller's.
Result<PastTried> try_past(const PastQuestion& question, PastRunOptions options, std::size_t memory);

}  // namespace tailgate
